package tlsconf

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

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
	case g.believes(certs).IsZero():
		return fmt.Errorf("the listener does not accept the certificate of %s: it is not of the authorities in %s, or it is revoked or expired", peer, s.ClientCA)
	}
	return nil
}

// certsOf returns the certificates that the client of a conn presented, its own first; nil: none.
func certsOf(peer transport.Peer) []*x509.Certificate {
	if cert, ok := transport.CredAs[CertSHA256](peer); ok && cert.proof != nil {
		return cert.proof.certs
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
		return fmt.Errorf("%s: the certificate ended on %s; issue another", s.Cert, moment(g.pair.Leaf.NotAfter))
	}
	return nil
}
