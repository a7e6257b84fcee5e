package tlsconf

import (
	"crypto/x509"
	"sync/atomic"
	"time"
)

// A proof is what the credentials of one connection rest on: it asks again what the handshake asked. What
// it finds holds until the files change or a certificate ends, so that most questions cost a glance.
type proof struct {
	server *Server
	certs  []*x509.Certificate // the client's, its own first
	last   atomic.Pointer[finding]
}

// A finding is what a generation says of a proof.
type finding struct {
	by    *generation
	until time.Time // when to ask again; zero: no need, it is revoked
}

// revoked reports whether the certificate would be refused now. A nil proof is never revoked.
func (p *proof) revoked() bool {
	if p == nil {
		return false
	}
	g := p.server.current()
	found := p.last.Load()
	if found == nil || found.by != g || !found.until.IsZero() && !time.Now().Before(found.until) {
		found = &finding{g, g.believes(p.certs)}
		p.last.Store(found)
	}
	return found.until.IsZero()
}

// believes returns until when a client with these certificates may be believed, if nothing else changes;
// the zero time means: not even now.
func (g *generation) believes(certs []*x509.Certificate) (until time.Time) {
	if g == nil || g.roots == nil { // nobody vouches for clients; without roots they would be the system's
		return time.Time{}
	}
	chains, err := g.verify(certs)
	if err != nil || g.checkClient(certs[0], chains) != nil {
		return time.Time{}
	}
	for _, chain := range chains {
		if end := endOf(chain); end.After(until) {
			until = end
		}
	}
	return until
}

// endOf returns when the first certificate of a chain ends.
func endOf(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, cert := range chain[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}
