package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// proves connects, and returns what the client has proven: a name and a fingerprint.
func (s *site) proves(t *testing.T, client *tlsconf.Client) []transport.Revocable {
	t.Helper()
	config, err := client.Config("localhost")
	require.NoError(t, err)
	creds := s.server.Creds(connect(t, s.config, config).ok(t).atServer)
	require.Len(t, creds, 2)
	return []transport.Revocable{creds[0].(tlsconf.Cert), creds[1].(tlsconf.CertSHA256)}
}

func requireRevoked(t *testing.T, revoked bool, creds []transport.Revocable) {
	t.Helper()
	for _, cred := range creds {
		require.Equal(t, revoked, cred.Revoked(), cred.Subject())
	}
}

// A certificate that its authority revokes is no credential any more, also in a session that was resumed.
func TestRevokedWhileOpen(t *testing.T) {
	s := newSite(t)
	_, err := s.ca.IssueClient("other", "", 0)
	require.NoError(t, err)
	admin, other := s.proves(t, s.client), s.proves(t, tlsconf.ClientFrom(s.dir, "other"))
	requireRevoked(t, false, admin)
	requireRevoked(t, false, other)
	require.NoError(t, s.ca.Revoke("admin"))
	requireRevoked(t, true, admin)
	requireRevoked(t, true, admin)
	requireRevoked(t, false, other)
	s.quiet(t)
}

func TestCAIsReplacedWhileOpen(t *testing.T) {
	s := newSite(t)
	creds := s.proves(t, s.client)
	requireRevoked(t, false, creds)
	_, other := newCA(t, "other")
	put(t, s.path("ca.pem"), []byte("no certificate"), 0o644)
	requireRevoked(t, false, creds)
	s.said(t, "ca.pem")
	put(t, s.path("crl.pem"), read(t, filepath.Join(other, tlsconf.CRLFile)), 0o644)
	put(t, s.path("ca.pem"), read(t, filepath.Join(other, tlsconf.CACert)), 0o644)
	requireRevoked(t, true, creds)
}

func TestCertificateEndsWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		cert := authorityOf(t, s.dir).forge(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
		save(t, cert, s.path("brief.pem"), s.path("brief.key"))
		config, err := tlsconf.ClientFrom(s.dir, "brief").Config("localhost")
		require.NoError(t, err)
		creds := s.server.Creds(connect(t, s.config, config).ok(t).atServer)
		require.NotEmpty(t, creds)
		for _, cred := range creds {
			require.False(t, cred.(transport.Revocable).Revoked())
		}
		time.Sleep(2 * time.Minute)
		for _, cred := range creds {
			require.True(t, cred.(transport.Revocable).Revoked())
		}
	})
}

// How soon it is noticed is what CheckEvery says, and nothing is read in between.
func TestRevocationIsNoticedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.server.CheckEvery = 10 * time.Second
		require.NoError(t, s.server.Reload())
		creds := s.proves(t, s.client)
		require.NoError(t, s.ca.Revoke("admin"))
		time.Sleep(10*time.Second - time.Nanosecond)
		requireRevoked(t, false, creds)
		time.Sleep(time.Nanosecond)
		requireRevoked(t, true, creds)
	})
}

// Many ask at once, while files change.
func TestManyAskWhetherTheyAreRevoked(t *testing.T) {
	s := newSite(t)
	creds := s.proves(t, s.client)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for !creds[0].Revoked() || !creds[1].Revoked() {
				os.Getpid() // whatever a conn does in between
			}
		})
	}
	require.NoError(t, s.ca.Revoke("admin"))
	asking.Wait()
}

func TestAskingCostsNothing(t *testing.T) {
	s := newSite(t)
	s.server.CheckEvery = time.Hour
	require.NoError(t, s.server.Reload())
	for _, cred := range s.proves(t, s.client) {
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = cred.Revoked(), cred.Subject() }))
	}
}

// BenchmarkRevoked measures a question whose answer is known, and one after the files have changed.
func BenchmarkRevoked(b *testing.B) {
	dir := b.TempDir()
	server, err := tlsconf.Auto(dir, nil)
	require.NoError(b, err)
	config, err := server.Config(tls.RequireAndVerifyClientCert)
	require.NoError(b, err)
	client, err := tlsconf.ClientFrom(dir, "").Config("localhost")
	require.NoError(b, err)
	state := connect(b, config, client).ok(b).atServer
	b.Run("known", func(b *testing.B) {
		cred := server.Creds(state)[0].(transport.Revocable)
		for b.Loop() {
			_ = cred.Revoked()
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			_ = server.Creds(state)[0].(transport.Revocable).Revoked()
		}
	})
}

// What nobody keeps an eye on is never revoked; a Server that has not read its files vouches for nobody.
func TestWhoKnowsOfRevocations(t *testing.T) {
	s := newSite(t)
	state := s.connect(t).ok(t).atServer
	for _, cred := range tlsconf.Creds(state) {
		require.False(t, cred.(transport.Revocable).Revoked())
	}
	for _, cred := range (&tlsconf.Server{}).Creds(state) {
		require.True(t, cred.(transport.Revocable).Revoked())
	}
	require.Equal(t, "cert:x", tlsconf.Cert{Name: "x"}.Subject())
	require.Equal(t, "cert-sha256:x", tlsconf.CertSHA256{Fingerprint: "x"}.Subject())
}
