package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// verifyClient looks at the certificate of a client, also of one that resumes a session: crypto/tls
// takes that one's from the session.
func (g *generation) verifyClient(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // ClientAuth says whether that may be, and is asked first
	}
	chains := state.VerifiedChains
	if state.DidResume {
		var err error
		if chains, err = g.verify(state.PeerCertificates); err != nil {
			return fmt.Errorf("resumed session: %w", err)
		}
	} else if len(chains) > 0 {
		g.known.add(keyOf("", state.PeerCertificates), chains)
	}
	return g.checkClient(state.PeerCertificates[0], chains)
}

// verify returns the chains of a client's certificates.
func (g *generation) verify(certs []*x509.Certificate) ([][]*x509.Certificate, error) {
	return g.known.verify("", certs, g.roots, x509.ExtKeyUsageClientAuth)
}

// checkClient looks at a certificate that has been verified.
func (g *generation) checkClient(leaf *x509.Certificate, chains [][]*x509.Certificate) error {
	if len(chains) == 0 {
		return errors.New("the client's certificate was not verified")
	}
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return fmt.Errorf("the certificate %s is not for clients: it lacks the extended key usage clientAuth", FingerprintOf(leaf).Pin())
	}
	return g.lists.check(chains)
}

// verify returns the chains from the first certificate, with the help of the others, to a root. Without
// roots they are the system's.
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
