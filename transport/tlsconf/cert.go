package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/rudderpost/rudderpost/transport"
)

// Cert is one name in a certificate that a peer has proven to have: exactly one SAN, never a part of
// a distinguished name.
type Cert struct {
	Name string            // the URI or DNS name
	Leaf *x509.Certificate // where it stands
}

// Subject implements transport.Credential: "cert:ops.example", "cert:spiffe://example/ops". A URI has a
// colon in it and a DNS name has none, so that neither can be taken for the other.
func (c Cert) Subject() string { return "cert:" + c.Name }

// Fingerprint is the SHA-256 of the certificate that a peer has proven to have, in hexadecimal.
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

// Creds returns what the peer of a finished handshake has proven: its URI SANs, its DNS SANs, and the
// fingerprint. Without a verified certificate it is nothing. A name that two readers may read in two ways
// is left out: a DNS name that is not a plain host name (a wildcard, a byte that is not ASCII), and a URI
// that is not written as it would be again.
func Creds(state tls.ConnectionState) []transport.Credential {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	dns, uris := altNames(leaf)
	var creds []transport.Credential
	for _, uri := range uris {
		if plainURI(uri) {
			creds = append(creds, Cert{uri, leaf})
		}
	}
	for _, name := range dns {
		if plainHost(name) {
			creds = append(creds, Cert{name, leaf})
		}
	}
	return append(creds, FingerprintOf(leaf))
}
