package tlsconf

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"
)

// A chainCache has certificate chains that were verified. The same certificates and roots give the same chains until one
// of the certificates ends. A client that resumes a session presents the same certificates again, and to verify their
// signatures again would cost more than the rest of its handshake. Only trusted chains are stored, so clients that are
// refused cannot fill the cache. Revocations are not stored; they are checked each time.
//
// With the cache, the check whether the certificate of a new conn is revoked costs 3 µs instead of 70 µs
// (BenchmarkRevoked). The zero value is ready, and the methods may be called from any goroutine.
type chainCache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]cachedChains
}

// cachedChains are the verified chains of some certificates.
type cachedChains struct {
	chains              [][]*x509.Certificate
	notBefore, notAfter time.Time // all certificates of all chains are valid between them
}

// maxCachedChains is the number of entries at which a chainCache is emptied. So many entries take a few MiB.
const maxCachedChains = 1024

// verify returns the chains from the first certificate to one of the roots, from the cache if possible. scope names the
// roots, for a cache that is used with several. With the system's roots (nil) the cache is not used, because they can
// change at any time.
func (c *chainCache) verify(scope string, certs []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	if roots == nil {
		return verify(certs, roots, usage)
	}
	key := chainKey(scope, certs)
	c.mu.Lock()
	entry, ok := c.entries[key]
	c.mu.Unlock()
	if ok && entry.validAt(time.Now()) {
		return entry.chains, nil
	}
	chains, err := verify(certs, roots, usage)
	if err == nil {
		c.add(key, chains)
	}
	return chains, err
}

// add stores chains that were verified just now.
func (c *chainCache) add(key [sha256.Size]byte, chains [][]*x509.Certificate) {
	entry := cachedChains{chains: chains, notBefore: chains[0][0].NotBefore, notAfter: chains[0][0].NotAfter}
	for _, chain := range chains {
		for _, cert := range chain {
			if cert.NotBefore.After(entry.notBefore) {
				entry.notBefore = cert.NotBefore
			}
			if cert.NotAfter.Before(entry.notAfter) {
				entry.notAfter = cert.NotAfter
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxCachedChains {
		c.entries = map[[sha256.Size]byte]cachedChains{}
	}
	c.entries[key] = entry
}

// validAt reports whether verify would find the same chains at this time.
func (v cachedChains) validAt(now time.Time) bool {
	return !now.Before(v.notBefore) && !now.After(v.notAfter)
}

// chainKey returns the key of certificates. All of them count, because the first one may have no chain without the
// others.
func chainKey(scope string, certs []*x509.Certificate) (key [sha256.Size]byte) {
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

// verify returns the chains from the first certificate, through the others, to one of the roots. Without roots, those of
// the system are used.
func verify(certs []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	return certs[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: poolOf(certs[1:]),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}
