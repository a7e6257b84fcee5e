package tlsconf_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// Files that become unusable are reported once. The previous content stays in use, and sessions can be resumed.
func TestUnusableFilesAreReportedAndPreviousOnesUsed(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, s *site)
		says  string
	}{
		{"CA vanished", func(t *testing.T, s *site) { require.NoError(t, os.Remove(s.path("ca.pem"))) }, "ca.pem: no such file"},
		{"CRL vanished", func(t *testing.T, s *site) { require.NoError(t, os.Remove(s.path("crl.pem"))) }, "crl.pem: no such file"},
		{"CRL empty", func(t *testing.T, s *site) { put(t, s.path("crl.pem"), nil, 0o644) }, "crl.pem: holds no CRL"},
		{"certificate cut", func(t *testing.T, s *site) {
			put(t, s.path("server.pem"), read(t, s.path("server.pem"))[:100], 0o644)
		}, "server.pem: holds no certificate"},
		{"another key", func(t *testing.T, s *site) { put(t, s.path("server.key"), read(t, s.path("admin.key")), 0o600) },
			"give the key that this certificate was made for"},
		{"key opened", func(t *testing.T, s *site) { require.NoError(t, os.Chmod(s.path("server.key"), 0o644)) }, "chmod 600"},
		{"key a directory", func(t *testing.T, s *site) {
			require.NoError(t, os.Remove(s.path("server.key")))
			require.NoError(t, os.Mkdir(s.path("server.key"), 0o700))
		}, "server.key: it is a folder and no regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			past := time.Now().Add(-time.Hour)
			for _, name := range []string{"ca.pem", "crl.pem", "server.pem", "server.key"} {
				require.NoError(t, os.Chtimes(s.path(name), past, past)) // so that nothing is looked at for being new
			}
			s.connect(t).ok(t)
			key := read(t, s.path("server.key"))
			test.spoil(t, s)
			client := pinned(t, s)
			for range 3 {
				connect(t, s.config, client).ok(t)
			}
			s.said(t, test.says)
			require.ErrorContains(t, s.server.Reload(), test.says)
			s.quiet(t)

			_, err := s.server.Config(tls.NoClientCert) // another listener does not open on broken files
			require.ErrorContains(t, err, test.says)

			if test.name == "key opened" {
				require.NoError(t, os.Chmod(s.path("server.key"), 0o600))
				connect(t, s.config, client).ok(t)
				require.NoError(t, s.server.Reload())
				require.Equal(t, key, read(t, s.path("server.key")))
				s.quiet(t)
			}
		})
	}
}

// pinned returns a configuration of the site's client that needs no file of the CA.
func pinned(t *testing.T, s *site) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(s.client.Cert, s.client.Key)
	require.NoError(t, err)
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
}

// Handshakes check the files at most once in CheckEvery, and Reload checks them at once.
func TestFilesAreCheckedOnceInCheckEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.server.CheckEvery = 0
		require.NoError(t, s.server.Reload())
		require.NoError(t, s.ca.Revoke("admin"))
		s.connect(t).ok(t)
		time.Sleep(4 * time.Second)
		s.connect(t).ok(t)
		time.Sleep(time.Second)
		require.ErrorIs(t, s.connect(t).server, tlsconf.ErrRevoked)

		_, err := s.ca.IssueClient("admin", "", 0)
		require.NoError(t, err)
		s.connect(t).ok(t)
		require.NoError(t, s.ca.Revoke("admin"))
		require.NoError(t, s.server.Reload())
		require.ErrorIs(t, s.connect(t).server, tlsconf.ErrRevoked)
	})
}

// A file that is written again with the same text does not end a session.
func TestRewriteWithSameTextKeepsSessions(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"ca.pem", "crl.pem", "server.pem"} {
		put(t, s.path(name), read(t, s.path(name)), 0o644)
	}
	require.True(t, s.connect(t).ok(t).atServer.DidResume)
	require.NoError(t, s.server.Reload())
	require.True(t, s.connect(t).ok(t).atServer.DidResume)
}

// A CRL that is out of date stays in use and is reported once.
func TestOutdatedCRLIsReportedAndUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		ours := authorityOf(t, s.dir)
		admin, err := tls.LoadX509KeyPair(s.client.Cert, s.client.Key)
		require.NoError(t, err)
		put(t, s.path("crl.pem"), ours.crl(t, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(time.Minute) }), 0o644)
		s.connect(t).ok(t)
		s.quiet(t)
		time.Sleep(2 * time.Minute)
		for range 3 {
			s.connect(t).ok(t)
		}
		s.said(t, "crl.pem: the CRL should have been replaced by 2000-01-01 00:01:00 UTC")

		put(t, s.path("crl.pem"), ours.crl(t, func(l *x509.RevocationList) {
			l.NextUpdate = time.Now().Add(-time.Minute)
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: admin.Leaf.SerialNumber, RevocationTime: time.Now()}}
		}), 0o644)
		require.ErrorIs(t, s.connect(t).server, tlsconf.ErrRevoked)
		require.Len(t, s.errs, 0, "the same date, so nothing new")
	})
}

// The end of the daemon's certificate is reported.
func TestEndOfServerCertIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		client := pinned(t, s)
		time.Sleep(330 * 24 * time.Hour)
		connect(t, s.config, client).ok(t)
		connect(t, s.config, client).ok(t)
		s.said(t, "server.pem: the certificate ends on 2000-12-31")
		time.Sleep(36 * 24 * time.Hour)
		_ = connect(t, s.config, client)
		_ = connect(t, s.config, client)
		s.said(t, "server.pem: the certificate ended on 2000-12-31")
		_, err := s.server.Config(tls.NoClientCert)
		require.ErrorContains(t, err, "server.pem: the certificate ended on 2000-12-31")
		require.ErrorContains(t, err, "issue another")
	})
}

// A listener does not open while a file is missing or unusable.
func TestListenerDoesNotOpenWithUnusableFiles(t *testing.T) {
	ca, dir := newCA(t, "ours")
	_, otherDir := newCA(t, "ours") // by the same name
	_, err := ca.IssueServer("daemon", []string{"localhost"}, 0)
	require.NoError(t, err)
	_, err = ca.IssueServer("brief", []string{"localhost"}, time.Nanosecond)
	require.NoError(t, err)
	_, err = ca.IssueClient("client", "", 0)
	require.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	ours := authorityOf(t, dir)
	save(t, ours.forge(t, func(c *x509.Certificate) {
		c.ExtKeyUsage, c.NotBefore = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, time.Now().Add(time.Minute)
	}), at("early.pem"), at("early.key"))
	put(t, at("group.key"), read(t, at("daemon.key")), 0o640)
	put(t, at("open.key"), read(t, at("daemon.key")), 0o644)
	put(t, at("delta.pem"), ours.crl(t, func(l *x509.RevocationList) { l.ExtraExtensions = append(l.ExtraExtensions, unknownCritical) }), 0o644)
	put(t, at("indirect.pem"), ours.crl(t, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Now(),
			ExtraExtensions: append(l.ExtraExtensions, unknownCritical)}}
	}), 0o644)

	good := func(change func(*tlsconf.Server)) *tlsconf.Server {
		s := &tlsconf.Server{Cert: at("daemon.pem"), Key: at("daemon.key"), ClientCA: at("ca.pem"), CRL: at("crl.pem")}
		change(s)
		return s
	}
	for _, test := range []struct {
		name   string
		auth   tls.ClientAuthType
		server *tlsconf.Server
		says   string // "" is that it opens
	}{
		{"good", tls.RequireAndVerifyClientCert, good(func(*tlsconf.Server) {}), ""},
		{"nothing", tls.NoClientCert, &tlsconf.Server{}, "no certificate file is given"},
		{"no key", tls.NoClientCert, &tlsconf.Server{Cert: at("daemon.pem")}, "no key file is given"},
		{"no certificate", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Cert = at("nothing") }), at("nothing")},
		{"clients, without a CA", tls.RequireAndVerifyClientCert, good(func(s *tlsconf.Server) { s.ClientCA, s.CRL = "", "" }), "there is no client CA"},
		{"optional clients, without a CA", tls.VerifyClientCertIfGiven, good(func(s *tlsconf.Server) { s.ClientCA, s.CRL = "", "" }), ""},
		{"unverified clients", tls.RequireAnyClientCert, good(func(*tlsconf.Server) {}), "client certificates must be verified"},
		{"CRL without a CA", tls.NoClientCert, good(func(s *tlsconf.Server) { s.ClientCA = "" }), "no client CA is given whose CRL"},
		{"another's CRL", tls.NoClientCert, good(func(s *tlsconf.Server) { s.CRL = filepath.Join(otherDir, "crl.pem") }), "is signed by none of the trusted authorities"},
		{"a certificate for a CRL", tls.NoClientCert, good(func(s *tlsconf.Server) { s.CRL = at("ca.pem") }), "ca.pem: holds a CERTIFICATE"},
		{"a key for a CA", tls.NoClientCert, good(func(s *tlsconf.Server) { s.ClientCA = at("ca.key") }), "ca.key: holds no certificate"},
		{"delta CRL", tls.NoClientCert, good(func(s *tlsconf.Server) { s.CRL = at("delta.pem") }), "critical extension 1.3.6.1.4.1.1"},
		{"indirect CRL", tls.NoClientCert, good(func(s *tlsconf.Server) { s.CRL = at("indirect.pem") }), "entry 7 has the critical extension"},
		{"another's key", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Key = at("client.key") }), "give the key that this certificate was made for"},
		{"ended", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Cert, s.Key = at("brief.pem"), at("brief.key") }), "brief.pem: the certificate ended on"},
		{"not begun", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Cert, s.Key = at("early.pem"), at("early.key") }), "early.pem: the certificate begins on"},
		{"a client's", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Cert, s.Key = at("client.pem"), at("client.key") }), "client.pem: the certificate is not for servers"},
		{"open key", tls.NoClientCert, good(func(s *tlsconf.Server) { s.Key = at("open.key") }), "other users may read it (mode 0644); do: chmod 600 " + at("open.key")},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.server.Config(test.auth)
			if test.says == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.says)
			}
		})
	}
	_, err = good(func(s *tlsconf.Server) { s.CRL = at("nothing") }).Config(tls.NoClientCert)
	require.True(t, errors.Is(err, fs.ErrNotExist))

	_, err = good(func(s *tlsconf.Server) { s.Key = at("group.key") }).Config(tls.NoClientCert)
	if os.Getuid() == 0 {
		require.NoError(t, err, "root may let a group read a key")
	} else {
		require.ErrorContains(t, err, "chmod 600")
	}
}

// With many handshakes and many changes at the same time, each handshake uses one of the contents.
func TestManyHandshakesDuringChanges(t *testing.T) {
	s := newSite(t)
	s.server.OnError = func(error) {} // a certificate and its key are never replaced in one instant
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				client, err := s.client.Config("localhost")
				if err != nil {
					continue // it too may have read between the two
				}
				connect(t, s.config, client).ok(t)
			}
		})
	}
	for range 20 {
		_, err := s.ca.IssueServer("server", []string{"localhost"}, 0)
		require.NoError(t, err)
		_, err = s.ca.IssueClient("admin", "", 0)
		require.NoError(t, err)
		_, err = s.ca.IssueClient("other", "", 0)
		require.NoError(t, err)
		require.NoError(t, s.ca.Revoke("other"))
		_ = s.server.Reload()
	}
	close(done)
	wg.Wait()
	require.NoError(t, s.server.Reload())
	s.connect(t).ok(t)
}

// A change in place, of the same size and within one tick of the file system's clock, is noticed.
func TestChangeWithinOneTickIsNoticed(t *testing.T) {
	s := newSite(t)
	ours := authorityOf(t, s.dir)
	admin, err := tls.LoadX509KeyPair(s.client.Cert, s.client.Key)
	require.NoError(t, err)
	tick := time.Now().Add(900 * time.Millisecond)
	write := func(crl []byte) {
		require.NoError(t, os.WriteFile(s.path("crl.pem"), append(crl, bytes.Repeat([]byte("\n"), 4096-len(crl))...), 0o644))
		require.NoError(t, os.Chtimes(s.path("crl.pem"), tick, tick))
	}
	write(ours.crl(t, nil))
	s.connect(t).ok(t)
	write(ours.crl(t, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: admin.Leaf.SerialNumber, RevocationTime: time.Now()}}
	}))
	require.ErrorIs(t, s.connect(t).server, tlsconf.ErrRevoked)
}
