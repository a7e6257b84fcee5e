package tlsconf

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Cert is one name in a certificate that a peer has proven to have: exactly one SAN, never a part of
// a distinguished name.
type Cert struct {
	Name string            // the URI or DNS name
	Leaf *x509.Certificate // where it stands

	subject string
	proof   *proof
}

// Subject implements transport.Credential: "cert:ops.example", "cert:spiffe://example/ops". A URI has a
// colon in it and a DNS name has none, so that neither can be taken for the other.
func (c Cert) Subject() string {
	if c.subject == "" {
		return "cert:" + c.Name
	}
	return c.subject
}

// Revoked implements transport.Revocable: see Server.Creds.
func (c Cert) Revoked() bool { return c.proof.revoked() }

// CertSHA256 is a certificate that a client has proven to have, whatever its names are.
type CertSHA256 struct {
	Fingerprint Fingerprint
	Leaf        *x509.Certificate

	subject string
	proof   *proof
}

// Subject implements transport.Credential: "cert-sha256:9f86d0…".
func (c CertSHA256) Subject() string {
	if c.subject == "" {
		return c.Fingerprint.Subject()
	}
	return c.subject
}

// Revoked implements transport.Revocable: see Server.Creds.
func (c CertSHA256) Revoked() bool { return c.proof.revoked() }

// Fingerprint is the SHA-256 of a certificate, in hexadecimal. It is the credential of a daemon that was
// dialed.
type Fingerprint string

// Subject implements transport.Credential: "cert-sha256:9f86d0…".
func (f Fingerprint) Subject() string { return "cert-sha256:" + string(f) }

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(cert.Raw)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// pinPrefix is what a fingerprint has in front where it is a pin.
const pinPrefix = "sha256:"

// Pin returns the fingerprint as Client.Pin takes it.
func (f Fingerprint) Pin() string { return pinPrefix + string(f) }

var sha256Hex = regexp.MustCompile(`^([0-9a-f]{64}|([0-9a-f]{2}:){31}[0-9a-f]{2})$`)

// ParseFingerprint reads "sha256:" and 64 hexadecimal digits, of either case, and with colons between the
// bytes if they come from openssl.
func ParseFingerprint(text string) (Fingerprint, error) {
	lower := strings.ToLower(text)
	digits, ok := strings.CutPrefix(lower, pinPrefix)
	if !ok || !sha256Hex.MatchString(digits) {
		return "", fmt.Errorf("the fingerprint %q is not %q and 64 hexadecimal digits", text, pinPrefix)
	}
	return Fingerprint(strings.ReplaceAll(digits, ":", "")), nil
}
