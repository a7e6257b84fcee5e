package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// A site has a daemon and a client that has connected once, so that the client has a session to resume.
type site struct {
	ca     *tlsconf.CA
	dir    string
	server *tlsconf.Server
	config *tls.Config
	client *tlsconf.Client
	errs   chan error // the errors that OnError was called with
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), errs: make(chan error, 100)}
	var err error
	s.server, err = tlsconf.Auto(s.dir, nil)
	require.NoError(t, err)
	s.server.CheckEvery = -1 // every handshake looks
	s.server.OnError = func(err error) { s.errs <- err }
	s.ca, err = tlsconf.OpenCA(s.dir)
	require.NoError(t, err)
	s.config, err = s.server.Config(tls.RequireAndVerifyClientCert)
	require.NoError(t, err)
	s.client = tlsconf.ClientFrom(s.dir, "")
	s.connect(t).ok(t)
	require.True(t, s.connect(t).ok(t).atServer.DidResume)
	return s
}

func (s *site) connect(t *testing.T) outcome {
	t.Helper()
	client, err := s.client.Config("localhost")
	require.NoError(t, err)
	return connect(t, s.config, client)
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// quiet requires that OnError was not called.
func (s *site) quiet(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.errs:
		require.NoError(t, err)
	default:
	}
}

// said requires that OnError was called once, with an error that contains text.
func (s *site) said(t *testing.T, text string) {
	t.Helper()
	select {
	case err := <-s.errs:
		require.ErrorContains(t, err, text)
	default:
		require.Fail(t, "OnError was told nothing", text)
	}
	s.quiet(t)
}

// A session of a certificate that was revoked is not resumed.
func TestSessionOfRevokedCertIsNotResumed(t *testing.T) {
	s := newSite(t)
	_, err := s.ca.IssueClient("other", "", 0)
	require.NoError(t, err)
	other := tlsconf.ClientFrom(s.dir, "other")
	config, err := other.Config("localhost")
	require.NoError(t, err)
	connect(t, s.config, config).ok(t)

	require.NoError(t, s.ca.Revoke("admin"))
	o := s.connect(t)
	require.ErrorIs(t, o.server, tlsconf.ErrRevoked)
	require.ErrorContains(t, o.client, "bad certificate")
	connect(t, s.config, config).ok(t) // the others are not affected
	require.True(t, connect(t, s.config, config).ok(t).atServer.DidResume)
	s.quiet(t)
}

// A session of a CA that was replaced is not resumed: CVE-2025-68121.
func TestSessionOfReplacedCAIsNotResumed(t *testing.T) {
	s := newSite(t)
	_, other := newCA(t, "other")
	put(t, s.path("ca.pem"), read(t, filepath.Join(other, tlsconf.CACert)), 0o644)
	put(t, s.path("crl.pem"), read(t, filepath.Join(other, tlsconf.CRLFile)), 0o644)
	client, err := (&tlsconf.Client{Pin: pinOf(t, s.path("server.pem")), Cert: s.client.Cert, Key: s.client.Key}).Config("localhost")
	require.NoError(t, err)
	o := connect(t, s.config, client)
	require.ErrorContains(t, o.server, "unknown authority")
	require.False(t, o.atServer.DidResume)
	s.quiet(t)
}

// A session is resumed only at the listener where it began.
func TestSessionIsNotResumedAtAnotherListener(t *testing.T) {
	s := newSite(t)
	open, err := s.server.Config(tls.VerifyClientCertIfGiven)
	require.NoError(t, err)
	client, err := s.client.Config("localhost")
	require.NoError(t, err)
	require.False(t, connect(t, open, client).ok(t).atServer.DidResume)
	require.True(t, connect(t, open, client).ok(t).atServer.DidResume)
}

// A session of a certificate that has expired is not resumed.
func TestSessionOfExpiredCertIsNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		cert := authorityOf(t, s.dir).forge(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
		save(t, cert, s.path("brief.pem"), s.path("brief.key"))
		s.client = tlsconf.ClientFrom(s.dir, "brief")
		s.connect(t).ok(t)
		require.True(t, s.connect(t).ok(t).atServer.DidResume)
		time.Sleep(2 * time.Minute)
		require.ErrorContains(t, s.connect(t).server, "expired")
	})
}

// VerifyConnection verifies the certificate of a resumed session even if crypto/tls accepts the session.
func TestCertOfResumedSessionIsVerified(t *testing.T) {
	s := newSite(t)
	state := s.connect(t).ok(t).atServer
	require.True(t, state.DidResume)
	require.NoError(t, s.server.Verify(state))
	_, other := newCA(t, "other")
	put(t, s.path("ca.pem"), read(t, filepath.Join(other, tlsconf.CACert)), 0o644)
	put(t, s.path("crl.pem"), read(t, filepath.Join(other, tlsconf.CRLFile)), 0o644)
	require.NoError(t, s.server.Reload())
	require.ErrorContains(t, s.server.Verify(state), "resumed session: x509: certificate signed by unknown authority")
}

// The keys of session tickets are replaced after a day, and the content of the files stays the same.
func TestTicketKeysAreReplacedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(23 * time.Hour)
		require.True(t, s.connect(t).ok(t).atServer.DidResume)
		time.Sleep(2 * time.Hour)
		require.False(t, s.connect(t).ok(t).atServer.DidResume)
		require.True(t, s.connect(t).ok(t).atServer.DidResume)
		s.quiet(t)
	})
}

// A replaced certificate of the daemon is used at once, and a client whose CRL has the old one does not resume.
func TestReplacedServerCertIsUsedAtOnce(t *testing.T) {
	s := newSite(t)
	before := s.connect(t).ok(t).atClient.PeerCertificates[0]
	_, err := s.ca.IssueServer("server", []string{"localhost"}, 0)
	require.NoError(t, err)
	o := s.connect(t).ok(t)
	require.False(t, o.atServer.DidResume)
	require.NotEqual(t, before.Raw, o.atClient.PeerCertificates[0].Raw)
	require.True(t, s.connect(t).ok(t).atServer.DidResume)

	s.client.CRL = s.path(tlsconf.CRLFile)
	s.connect(t).ok(t)
	require.NoError(t, s.ca.Revoke("server"))
	var verify *tlsconf.VerifyError
	o = s.connect(t)
	require.ErrorAs(t, o.client, &verify)
	require.ErrorIs(t, verify, tlsconf.ErrRevoked)
}

// A client with other options does not resume a session that began with the previous ones.
func TestClientWithOtherOptionsDoesNotResume(t *testing.T) {
	s := newSite(t)
	ca := read(t, s.path(tlsconf.CACert))
	own := filepath.Join(t.TempDir(), "ca.pem")
	put(t, own, ca, 0o644)
	s.client.CA = own
	require.True(t, s.connect(t).ok(t).atServer.DidResume) // the same authority from another file
	_, other := newCA(t, "other")
	put(t, own, read(t, filepath.Join(other, tlsconf.CACert)), 0o644)
	o := s.connect(t)
	require.ErrorContains(t, o.client, "unknown")
	require.False(t, o.atClient.DidResume)

	s.client.Pin = "sha256:" + "00000000000000000000000000000000" + "00000000000000000000000000000000"
	require.ErrorContains(t, s.connect(t).client, "not the pinned")
	s.client.Pin = pinOf(t, s.path("server.pem"))
	require.False(t, s.connect(t).ok(t).atServer.DidResume)
	require.True(t, s.connect(t).ok(t).atServer.DidResume)
}
