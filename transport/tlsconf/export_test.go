package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"strconv"
)

// Verify is what VerifyConnection does with what is in force.
func (s *Server) Verify(state tls.ConnectionState) error { return s.now.verifyClient(state) }

// Remember lets what is in force remember a certificate under so many names, and returns how many it has then.
func (s *Server) Remember(names int, cert *x509.Certificate) (known int) {
	for i := range names {
		s.now.known.add(keyOf(strconv.Itoa(i), nil), [][]*x509.Certificate{{cert}})
	}
	return len(s.now.known.known)
}
