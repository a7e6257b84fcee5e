package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"strconv"
)

// Verify calls the VerifyConnection of the current snapshot.
func (s *Server) Verify(state tls.ConnectionState) error { return s.snapshot.verifyClient(state) }

// Remember adds a certificate to the cache of the current snapshot under many names, and returns the number of
// entries.
func (s *Server) Remember(names int, cert *x509.Certificate) (known int) {
	for i := range names {
		s.snapshot.cache.add(chainKey(strconv.Itoa(i), nil), [][]*x509.Certificate{{cert}})
	}
	return len(s.snapshot.cache.entries)
}
