package tlsconf_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// A resumed session is verified without a check of signatures, which would need many allocations.
func TestResumedSessionUsesCachedChain(t *testing.T) {
	s := newSite(t)
	s.server.CheckEvery = time.Hour
	state := s.connect(t).ok(t).atServer
	require.True(t, state.DidResume)
	require.Less(t, testing.AllocsPerRun(100, func() { _ = s.server.Verify(state) }), 12.0)
	require.NoError(t, s.server.Verify(state))
}

// A certificate that is trusted with an intermediate certificate is not trusted without it.
func TestCachedChainNeedsAllCertificates(t *testing.T) {
	s := newSite(t)
	asCA := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign, nil, nil
	}
	root := authority{}.forge(t, asCA)
	middle := authority{root.Leaf, root.PrivateKey.(crypto.Signer)}.forge(t, func(c *x509.Certificate) {
		asCA(c)
		c.Subject.CommonName = "middle"
	})
	leaf := authority{middle.Leaf, middle.PrivateKey.(crypto.Signer)}.forge(t, nil).Leaf
	save(t, root, s.path("root.pem"), s.path("root.key"))
	server := &tlsconf.Server{Cert: s.server.Cert, Key: s.server.Key, ClientCA: s.path("root.pem")}
	require.NoError(t, server.Reload())
	verify := func(certs ...*x509.Certificate) error {
		return server.Verify(tls.ConnectionState{DidResume: true, PeerCertificates: certs})
	}
	require.ErrorContains(t, verify(leaf), "unknown authority")
	require.NoError(t, verify(leaf, middle.Leaf))
	require.NoError(t, verify(leaf, middle.Leaf))
	require.ErrorContains(t, verify(leaf), "unknown authority")
	require.ErrorContains(t, verify(middle.Leaf), "lacks the extended key usage")
}

// The cache has a bounded number of entries. Certificates that are refused are not stored.
func TestChainCacheIsBounded(t *testing.T) {
	s := newSite(t)
	cert := s.connect(t).ok(t).atServer.PeerCertificates[0]
	require.Equal(t, 1, s.server.Remember(0, cert))
	selfSigned := authority{}.forge(t, nil)
	require.Error(t, connect(t, s.config, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{selfSigned}}).server)
	require.Equal(t, 1, s.server.Remember(0, cert))
	require.LessOrEqual(t, s.server.Remember(10_000, cert), 1024)
	s.connect(t).ok(t)
}

// A cached certificate of a daemon is refused when it has expired.
func TestCachedChainEndsWithItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		cert := authorityOf(t, s.dir).forge(t, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			c.NotBefore, c.NotAfter = time.Now(), time.Now().Add(time.Minute)
		})
		save(t, cert, s.server.Cert, s.server.Key)
		s.connect(t).ok(t)
		require.True(t, s.connect(t).ok(t).atClient.DidResume)
		time.Sleep(2 * time.Minute)
		require.ErrorContains(t, s.connect(t).client, "expired")
	})
}
