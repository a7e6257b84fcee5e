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

// proves connects and returns the client's credentials: a name and a fingerprint.
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

// TestCertStatusTransitions walks the table of certStatus.
func TestCertStatusTransitions(t *testing.T) {
	s := newSite(t)
	ca, crl := read(t, s.path(tlsconf.CACert)), read(t, s.path(tlsconf.CRLFile))
	_, other := newCA(t, "other")
	otherCA, otherCRL := read(t, filepath.Join(other, tlsconf.CACert)), read(t, filepath.Join(other, tlsconf.CRLFile))
	use := func(ca, crl []byte) {
		put(t, s.path(tlsconf.CRLFile), crl, 0o644)
		put(t, s.path(tlsconf.CACert), ca, 0o644)
		require.NoError(t, s.server.Reload())
	}
	first, later := s.proves(t, s.client), s.proves(t, s.client)
	requireRevoked(t, false, first) // none to trusted
	requireRevoked(t, false, first) // trusted, from the cache
	use(otherCA, otherCRL)
	requireRevoked(t, true, later) // none to refused
	requireRevoked(t, true, first) // trusted to refused
	requireRevoked(t, true, first) // refused, from the cache
	use(ca, crl)
	requireRevoked(t, false, first) // refused to trusted
}

// The credentials of a revoked certificate are revoked, also in a session that was resumed.
func TestCredsOfRevokedCertAreRevoked(t *testing.T) {
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

func TestCredsOfReplacedCAAreRevoked(t *testing.T) {
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

func TestCredsOfExpiredCertAreRevoked(t *testing.T) {
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

// A revocation is noticed after CheckEvery, and the files are not read before.
func TestRevocationIsNoticedAfterCheckEvery(t *testing.T) {
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

// Many goroutines call Revoked while the files change.
func TestRevokedFromManyGoroutines(t *testing.T) {
	s := newSite(t)
	creds := s.proves(t, s.client)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for !creds[0].Revoked() || !creds[1].Revoked() {
				os.Getpid() // some other work
			}
		})
	}
	require.NoError(t, s.ca.Revoke("admin"))
	asking.Wait()
}

func TestRevokedAllocatesNothing(t *testing.T) {
	s := newSite(t)
	s.server.CheckEvery = time.Hour
	require.NoError(t, s.server.Reload())
	for _, cred := range s.proves(t, s.client) {
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = cred.Revoked(), cred.Subject() }))
	}
}

// BenchmarkRevoked measures a call with a cached result, and the first call of a conn.
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

// Credentials of the function Creds are never revoked. Those of a Server that has not read its files always are.
func TestCredsWithoutServerAreNeverRevoked(t *testing.T) {
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
