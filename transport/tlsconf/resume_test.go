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

// A site is a daemon and a client that have met, so that the client has a session to resume.
type site struct {
	ca     *tlsconf.CA
	dir    string
	server *tlsconf.Server
	config *tls.Config
	client *tlsconf.Client
	errs   chan error // what OnError was told
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

// quiet demands that OnError was told nothing.
func (s *site) quiet(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.errs:
		require.NoError(t, err)
	default:
	}
}

// said demands that OnError was told one thing.
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

// A session does not outlive the certificate that it began with.
func TestResumeRevoked(t *testing.T) {
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
	connect(t, s.config, config).ok(t) // nobody else is hurt
	require.True(t, connect(t, s.config, config).ok(t).atServer.DidResume)
	s.quiet(t)
}

// Nor the CA that vouched for it: CVE-2025-68121.
func TestResumeAfterChangeOfCA(t *testing.T) {
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

// A session is of one listener.
func TestResumeElsewhere(t *testing.T) {
	s := newSite(t)
	open, err := s.server.Config(tls.VerifyClientCertIfGiven)
	require.NoError(t, err)
	client, err := s.client.Config("localhost")
	require.NoError(t, err)
	require.False(t, connect(t, open, client).ok(t).atServer.DidResume)
	require.True(t, connect(t, open, client).ok(t).atServer.DidResume)
}

// A client certificate that ends while its session lives does not go on in it.
func TestResumeExpired(t *testing.T) {
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

// What VerifyConnection is told of a resumed session is not believed, even if the session got past all else.
func TestResumedIsVerified(t *testing.T) {
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

// Ticket keys do not last for ever, and what is in force does.
func TestTicketKeysWear(t *testing.T) {
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

// A daemon's certificate that is replaced is shown at once, and a client whose CRL has it does not resume.
func TestServerReplacedAndRevoked(t *testing.T) {
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

// A client that believes something else than before does not resume what it believed then.
func TestClientBelievesAnew(t *testing.T) {
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
