package tlsconf

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"
)

// A memory holds chains that have been verified. The same certificates and the same roots give the same
// chains until one of these certificates ends, and whoever resumes a session shows those he has shown
// before; to check their signatures again costs more than all else that we do for him. What was revoked is
// not remembered but looked up each time. The chains are believed ones only, so that no stranger fills it.
//
// With it a question whether a new conn's certificate is revoked costs 3 µs and not 70 (BenchmarkRevoked).
type memory struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]verified
}

// A verified is what is known of certificates.
type verified struct {
	chains      [][]*x509.Certificate
	from, until time.Time // between them all certificates of all chains are valid
}

// mostKnown is how much a memory holds before it forgets all of it: a few MiB.
const mostKnown = 1024

// verify does what the function does, and remembers it. A scope says which roots these are, where there are
// several for one memory; those of the system are asked each time, since they are not ours to know.
func (m *memory) verify(scope string, certs []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	if roots == nil {
		return verify(certs, roots, usage)
	}
	key := keyOf(scope, certs)
	m.mu.Lock()
	known, ok := m.known[key]
	m.mu.Unlock()
	if ok && known.holds(time.Now()) {
		return known.chains, nil
	}
	chains, err := verify(certs, roots, usage)
	if err == nil {
		m.add(key, chains)
	}
	return chains, err
}

// add remembers chains that were just verified.
func (m *memory) add(key [sha256.Size]byte, chains [][]*x509.Certificate) {
	known := verified{chains: chains, from: chains[0][0].NotBefore, until: chains[0][0].NotAfter}
	for _, chain := range chains {
		for _, cert := range chain {
			if cert.NotBefore.After(known.from) {
				known.from = cert.NotBefore
			}
			if cert.NotAfter.Before(known.until) {
				known.until = cert.NotAfter
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= mostKnown {
		m.known = map[[sha256.Size]byte]verified{}
	}
	m.known[key] = known
}

// holds reports whether the chains would be found at a time.
func (v verified) holds(now time.Time) bool { return !now.Before(v.from) && !now.After(v.until) }

// keyOf names certificates, all of them: without the others the first may have no chain.
func keyOf(scope string, certs []*x509.Certificate) (key [sha256.Size]byte) {
	sum := sha256.New()
	part := func(text []byte) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		sum.Write(length[:])
		sum.Write(text)
	}
	part([]byte(scope))
	for _, cert := range certs {
		part(cert.Raw)
	}
	sum.Sum(key[:0])
	return key
}
