package tlsconf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// A VerifyError says why a client does not believe a daemon's certificate, and what to do.
type VerifyError struct {
	Fingerprint Fingerprint // of the certificate
	Names       []string    // the host names and addresses in it, as the daemon chose them
	Err         error       // such as x509.UnknownAuthorityError, x509.HostnameError, ErrRevoked
}

// Unwrap returns Err.
func (e *VerifyError) Unwrap() error { return e.Err }

// Error says what is wrong, and what to do.
func (e *VerifyError) Error() string {
	var (
		stranger x509.UnknownAuthorityError
		wrong    x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	const text = "the daemon's certificate is not believed: "
	pin := e.Fingerprint.Pin()
	switch {
	case errors.As(e.Err, &stranger):
		return text + "who signed it is unknown: give its CA with --ca or --pki, or pin it, if this is its fingerprint: " + pin
	case errors.As(e.Err, &wrong):
		return fmt.Sprintf("%sit is for %s, not for %s: dial a name that it has, or have it issued for this one", text, e.names(), wrong.Host)
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("%s%v: have another issued, or set the clock of this machine", text, e.Err)
	case errors.Is(e.Err, ErrRevoked):
		return text + e.Err.Error() + ": have another issued, and ask why"
	}
	return fmt.Sprintf("%s%v; its fingerprint is %s", text, e.Err, pin)
}

// manyNames is how many names an error tells.
const manyNames = 8

// names are Names for people.
func (e *VerifyError) names() string {
	switch n := len(e.Names); {
	case n == 0:
		return "no host"
	case n > manyNames:
		return fmt.Sprintf("%s and %d more", strings.Join(e.Names[:manyNames], ", "), n-manyNames)
	}
	return strings.Join(e.Names, ", ")
}

// hostsOf returns the hosts that a certificate is for.
func hostsOf(leaf *x509.Certificate) []string {
	var hosts []string
	for _, name := range leaf.DNSNames {
		if visible.MatchString(name) {
			hosts = append(hosts, name)
		}
	}
	for _, ip := range leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}
