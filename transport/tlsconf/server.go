package tlsconf

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// Server says who a daemon is and which clients it believes, for the listeners that share it. Its
// fields name PEM files, which are read when a listener opens and again when they have changed. It
// may be used by many listeners at once; its fields must not change after the first.
type Server struct {
	Cert, Key string // the daemon's certificate chain and its key
	ClientCA  string // who vouches for clients; empty: certificates are not asked for
	CRL       string // what ClientCA has revoked, a list of every authority in it; empty: nothing is

	// TrustOwners are ids of users that may own the files, the folders above them up to / and symbolic links on the way,
	// beside root and this process's user. No other user may write to any of them (a folder with the sticky bit
	// excepted). Only its owner may read the key; of a key of root's or of these users also its group. It is for
	// containers.
	TrustOwners []uint32

	// CheckEvery is how often, at most, a handshake, or a question whether a credential is revoked, looks
	// whether the files have changed. 0: 5 s.
	CheckEvery time.Duration

	// OnError is told why files that have changed cannot be used, once for each reason; those before
	// stay in force. It is also told when a CRL is older than it says that it may become, which stays
	// in force too, and when less than a tenth of the life of the daemon's certificate is left, and none.
	// It is called by a handshake, a question whether a credential is revoked, Config or Reload, which
	// wait for it. nil: nobody is told.
	OnError func(error)

	mu    sync.Mutex  // guards what follows; never held while files are read
	now   *generation // what is in force
	check time.Time   // when files are looked at again

	reading sync.Mutex // held by whoever reads the files, and guards what follows
	told    string     // the last error that OnError was told
}

// defaultCheckEvery is what CheckEvery is when it is 0.
const defaultCheckEvery = 5 * time.Second

// Config returns a configuration for one listener, which belongs to the caller. auth says whether a
// client must have a certificate: tls.NoClientCert, VerifyClientCertIfGiven or
// RequireAndVerifyClientCert, which needs a ClientCA. protos are the names of what is spoken (ALPN). The
// error names the file that cannot be used, and what to do.
//
// It speaks TLS 1.3 only, and there is no 0-RTT. A client's certificate must be made for clients
// (extended key usage clientAuth). What the files say holds for resumed sessions as for new ones: a
// session does not outlive a change of them, and VerifyConnection looks at its certificate again. To that
// end every handshake takes its configuration from GetConfigForClient, so what the caller changes
// elsewhere in the returned one has no effect.
func (s *Server) Config(auth tls.ClientAuthType, protos ...string) (*tls.Config, error) {
	switch {
	case auth != tls.NoClientCert && auth != tls.VerifyClientCertIfGiven && auth != tls.RequireAndVerifyClientCert:
		return nil, errors.New("a client's certificate is verified or not asked for")
	case auth == tls.RequireAndVerifyClientCert && s.ClientCA == "":
		return nil, errors.New("client certificates are required, and no client CA says whose: name its file")
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

// A listener makes the configurations of one listener, one for each generation.
type listener struct {
	server *Server
	auth   tls.ClientAuthType
	protos []string

	mu     sync.Mutex
	from   *generation
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
