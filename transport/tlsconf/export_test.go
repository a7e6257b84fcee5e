package tlsconf

import "crypto/tls"

// Verify is what VerifyConnection does with what is in force.
func (s *Server) Verify(state tls.ConnectionState) error { return s.now.verifyClient(state) }
