package tlsconf

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Server has the certificate of a daemon and the authorities of its clients, for all listeners that share it. Its
// fields name PEM files. The files are read when a listener opens, and again when they have changed. All methods may
// be called from any goroutine. The fields must not change after the first call of Config.
type Server struct {
	Cert, Key string // the daemon's certificate chain and its key
	ClientCA  string // the authorities of clients; empty: clients are not asked for a certificate
	CRL       string // the revocation lists of ClientCA, one of each authority in it; empty: none

	// TrustOwners are ids of users that may own the files, the folders above them up to / and symbolic links on the
	// way, in addition to root and the user of this process. No other user may write to any of them (a folder with
	// the sticky bit excepted). Only its owner may read the key; if root or one of these users owns it, its group may
	// read it too. It is for containers.
	TrustOwners []uint32

	// CheckEvery is how often the files are checked for changes, at most. A handshake checks them, and so does a call
	// of Revoked. 0: 5 s. Negative: each time.
	CheckEvery time.Duration

	// OnError is called when files that have changed cannot be used; the previous content stays in use. It is also
	// called when a CRL is older than its own limit, which stays in use too, when less than a tenth of the lifetime
	// of the daemon's certificate is left, and when that certificate has ended. Each error is reported once. OnError
	// is called by a handshake, Revoked, Config or Reload, and delays it. nil: errors are not reported.
	OnError func(error)

	mu       sync.Mutex // guards the next two; not held while files are read
	snapshot *snapshot  // the one in use; nil: none yet
	check    time.Time  // when the files are checked again

	reading   sync.Mutex // held while files are read; guards lastError
	lastError string     // the last one for OnError
}

// defaultCheckEvery is the default of CheckEvery.
const defaultCheckEvery = 5 * time.Second

// Config returns a configuration for one listener. It belongs to the caller. auth says whether a client must have a
// certificate: tls.NoClientCert, tls.VerifyClientCertIfGiven or tls.RequireAndVerifyClientCert; the last one needs
// ClientCA. protos are the protocols of the listener (ALPN, RFC 7301). Config reads the files; an error names the
// file that cannot be used, and what to do.
//
// The configuration uses TLS 1.3 only, without 0-RTT. A client's certificate must have the extended key usage
// clientAuth. The same rules hold for resumed sessions: a session cannot be resumed after the files have changed, and
// its certificate is verified again. For this, each handshake gets its configuration from GetConfigForClient, so
// changes of other fields by the caller have no effect.
func (s *Server) Config(auth tls.ClientAuthType, protos ...string) (*tls.Config, error) {
	switch {
	case auth != tls.NoClientCert && auth != tls.VerifyClientCertIfGiven && auth != tls.RequireAndVerifyClientCert:
		return nil, errors.New("client certificates must be verified: use NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert")
	case auth == tls.RequireAndVerifyClientCert && s.ClientCA == "":
		return nil, errors.New("client certificates are required, and there is no client CA: name its file")
	case s.ClientCA == "":
		auth = tls.NoClientCert
		if s.CRL != "" {
			return nil, errors.New(s.CRL + ": no client CA is given whose CRL this could be: name its file too")
		}
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	l := &listener{server: s, auth: auth, protos: protos}
	config := l.current().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.current(), nil }
	return config, nil
}

// A listener makes the configurations of one listener, one for each snapshot.
type listener struct {
	server *Server
	auth   tls.ClientAuthType
	protos []string

	mu     sync.Mutex
	from   *snapshot
	config *tls.Config // made from it
}

// current returns the configuration for a handshake that begins now.
func (l *listener) current() *tls.Config {
	g := l.server.current()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from == nil || g.number > l.from.number { // not if another handshake has seen a newer one
		l.from, l.config = g, g.config(l.auth, l.protos)
	}
	return l.config
}

// Reload reads the files now. When it fails, it returns the error, does not call OnError, and the previous content
// stays in use.
func (s *Server) Reload() error {
	s.reading.Lock()
	g, err := s.load()
	s.use(g, err)
	warning := s.newError(g.warning(err))
	s.reading.Unlock()
	if err == nil {
		s.report(warning)
	}
	return err
}

// current returns the snapshot in use, after a check of the files if one is due; nil before the first Config. While
// one handshake reads the files, the others use the previous snapshot.
func (s *Server) current() *snapshot {
	g, due := s.loaded()
	if g == nil || !due || !s.reading.TryLock() {
		return g
	}
	if g, due = s.loaded(); !due {
		s.reading.Unlock()
		return g
	}
	var err error
	if g.stale() {
		g, err = s.load()
	}
	s.use(g, err)
	warning := s.newError(g.warning(err))
	s.reading.Unlock()
	s.report(warning)
	return g
}

// loaded returns the snapshot in use, and whether a check of the files is due.
func (s *Server) loaded() (*snapshot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot, !time.Now().Before(s.check)
}

// load reads the files and returns a new snapshot. It returns the snapshot in use when the content is the same, so
// that sessions can still be resumed, and with an error when the files cannot be used.
func (s *Server) load() (*snapshot, error) {
	old, _ := s.loaded()
	next, err := loadSnapshot(s)
	switch {
	case err != nil:
		return old, err // the stamps of old differ from the files, so that the next check reads them again
	case old == nil:
		return next, nil
	case old.sum == next.sum && !old.expired():
		old.stamps = next.stamps
		return old, nil
	}
	next.number = old.number + 1
	return next, nil
}

// use makes g the snapshot in use, unless err is set, and schedules the next check.
func (s *Server) use(g *snapshot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = time.Now().Add(cmp.Or(s.CheckEvery, defaultCheckEvery))
	if err == nil {
		s.snapshot = g
	}
}

// newError returns err, or nil if the error before was the same. The caller holds s.reading.
func (s *Server) newError(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.lastError {
		return nil
	}
	s.lastError = text
	return err
}

// report calls OnError.
func (s *Server) report(err error) {
	if err != nil && s.OnError != nil {
		s.OnError(err)
	}
}

// AcceptsPeer returns an error that says why a handshake with a configuration of s would not give the peer the same
// certificate credentials again, or nil. It checks the certificates of the peer's conn against the files of s as they are
// in force: the authority, the revocations and the dates. It may be called from any goroutine after Config.
func (s *Server) AcceptsPeer(peer transport.Peer) error {
	certs := certsOf(peer)
	if len(certs) == 0 {
		return fmt.Errorf("%s has no certificate", peer)
	}
	g := s.current()
	switch {
	case g == nil || g.roots == nil:
		return fmt.Errorf("the listener has no client CA, so it does not accept the certificate of %s", peer)
	case g.validUntil(certs).IsZero():
		return fmt.Errorf("the listener does not accept the certificate of %s: it is not of the authorities in %s, or it is revoked or expired", peer, s.ClientCA)
	}
	return nil
}

// certsOf returns the certificates that the client of a conn has presented, its own first; nil: none.
func certsOf(peer transport.Peer) []*x509.Certificate {
	if cert, ok := transport.CredAs[CertSHA256](peer); ok && cert.status != nil {
		return cert.status.certs
	}
	return nil
}

// CheckServerName returns an error that says why a client that dials host would refuse the certificate of s, or nil. It
// may be called from any goroutine after Config.
func (s *Server) CheckServerName(host string) error {
	g := s.current()
	if g == nil {
		return nil
	}
	if err := g.pair.Leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("%s: %w; issue a certificate for that name", s.Cert, err)
	}
	if time.Now().After(g.pair.Leaf.NotAfter) {
		return fmt.Errorf("%s: the certificate ended on %s; issue another", s.Cert, formatTime(g.pair.Leaf.NotAfter))
	}
	return nil
}
