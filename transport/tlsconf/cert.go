package tlsconf

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Cert is one name in the certificate of a peer: exactly one DNS name or URI of its SANs (RFC 5280, 4.2.1.6), never a
// part of the distinguished name.
type Cert struct {
	Name string            // the URI or DNS name
	Leaf *x509.Certificate // the certificate that has the name

	subject string
	status  *certStatus
}

// Subject implements transport.Credential: "cert:ops.example", "cert:spiffe://example/ops". A URI has a colon and a
// DNS name has none, so the two cannot be mixed up.
func (c Cert) Subject() string {
	if c.subject == "" {
		return "cert:" + c.Name
	}
	return c.subject
}

// Revoked implements transport.Revocable; see Server.Creds.
func (c Cert) Revoked() bool { return c.status.revoked() }

// CertSHA256 is the certificate of a peer, whatever names it has.
type CertSHA256 struct {
	Fingerprint Fingerprint
	Leaf        *x509.Certificate

	subject string
	status  *certStatus
}

// Subject implements transport.Credential: "cert-sha256:9f86d0…".
func (c CertSHA256) Subject() string {
	if c.subject == "" {
		return c.Fingerprint.Subject()
	}
	return c.subject
}

// Revoked implements transport.Revocable; see Server.Creds.
func (c CertSHA256) Revoked() bool { return c.status.revoked() }

// Fingerprint is the SHA-256 of a certificate in hexadecimal. It is the credential of a daemon that was dialed.
type Fingerprint string

// Subject implements transport.Credential: "cert-sha256:9f86d0…".
func (f Fingerprint) Subject() string { return "cert-sha256:" + string(f) }

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(cert.Raw)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// pinPrefix is what Pin adds before the fingerprint.
const pinPrefix = "sha256:"

// Pin returns the fingerprint as Client.Pin takes it.
func (f Fingerprint) Pin() string { return pinPrefix + string(f) }

var sha256Hex = regexp.MustCompile(`^([0-9a-f]{64}|([0-9a-f]{2}:){31}[0-9a-f]{2})$`)

// ParseFingerprint parses "sha256:" and 64 hexadecimal digits. It accepts capital letters, and colons between the
// bytes, as openssl writes them.
func ParseFingerprint(text string) (Fingerprint, error) {
	lower := strings.ToLower(text)
	digits, ok := strings.CutPrefix(lower, pinPrefix)
	if !ok || !sha256Hex.MatchString(digits) {
		return "", fmt.Errorf("the fingerprint %q is not %q and 64 hexadecimal digits", text, pinPrefix)
	}
	return Fingerprint(strings.ReplaceAll(digits, ":", "")), nil
}

// Creds returns the credentials of the client of a completed handshake: the URIs and DNS names in its certificate,
// and its fingerprint. It returns nil if the client has no verified certificate. A name that can be read in two ways
// is left out: a DNS name that is no plain host name (a wildcard, or a byte that is not ASCII), and a URI that
// net/url would write differently. These credentials do not notice a later revocation; those of Server.Creds do.
func Creds(state tls.ConnectionState) []transport.Credential { return credsOf(state, nil) }

// Creds returns the same credentials as the function Creds, for a handshake with a configuration of s. All of them
// implement transport.Revocable: Revoked returns true when the same certificate would be refused now, because it was
// revoked, has expired, or its authority is no longer trusted. Revoked checks the files as often as CheckEvery says.
func (s *Server) Creds(state tls.ConnectionState) []transport.Credential {
	return credsOf(state, &certStatus{server: s, certs: state.PeerCertificates})
}

var (
	_ transport.Revocable = Cert{}
	_ transport.Revocable = CertSHA256{}
)

func credsOf(state tls.ConnectionState, status *certStatus) []transport.Credential {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	dns, uris := altNames(leaf)
	var creds []transport.Credential
	for _, uri := range uris {
		if plainURI(uri) {
			creds = append(creds, Cert{uri, leaf, "cert:" + uri, status})
		}
	}
	for _, name := range dns {
		if plainHost(name) {
			creds = append(creds, Cert{name, leaf, "cert:" + name, status})
		}
	}
	fingerprint := FingerprintOf(leaf)
	return append(creds, CertSHA256{fingerprint, leaf, fingerprint.Subject(), status})
}

// oidAltNames is the extension subjectAltName (RFC 5280, 4.2.1.6).
var oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// The tags of two of its kinds of name.
const (
	tagDNS = 2
	tagURI = 6
)

// altNames returns the DNS names and URIs of a certificate byte for byte. crypto/x509 has URIs in parsed form only.
func altNames(cert *x509.Certificate) (dns, uris []string) {
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(oidAltNames) {
			continue
		}
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &all); err != nil || len(rest) > 0 {
			return nil, nil
		}
		for _, name := range all {
			switch {
			case name.Class != asn1.ClassContextSpecific:
			case name.Tag == tagDNS:
				dns = append(dns, string(name.Bytes))
			case name.Tag == tagURI:
				uris = append(uris, string(name.Bytes))
			}
		}
	}
	return dns, uris
}

var hostLabels = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*$`)

// plainHost reports whether name is a plain host name: no wildcard and no IP address.
func plainHost(name string) bool {
	if len(name) > 253 || !hostLabels.MatchString(name) {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

var visible = regexp.MustCompile(`^[!-~]+$`)

// plainURI reports whether text is an absolute URI in visible ASCII that net/url writes in the same way.
func plainURI(text string) bool {
	if !visible.MatchString(text) {
		return false
	}
	uri, err := url.Parse(text)
	return err == nil && uri.Scheme != "" && uri.User == nil && (uri.Host != "" || uri.Opaque != "") && uri.String() == text
}

// A certStatus tells whether the client certificate of one connection is still trusted. It keeps the last result:
//
//	cached   trusted or refused   cached result is returned while         otherwise
//	none     -                    -                                       check, and cache the result
//	trusted  not revoked          the snapshot is the same one, and       check, and cache the result
//	                              validUntil has not passed
//	refused  revoked              the snapshot is the same one            check, and cache the result
//
// A check repeats what the handshake has checked: the authority, the dates, the usage and the revocations. A new snapshot
// is loaded when the files have changed. So a certificate can become trusted again, when its authority is added again.
type certStatus struct {
	server *Server
	certs  []*x509.Certificate // the client's, its own first
	last   atomic.Pointer[cachedStatus]
}

// A cachedStatus is the result of one check.
type cachedStatus struct {
	by         *snapshot
	validUntil time.Time // zero: refused
}

// revoked reports whether the certificate would be refused now. A nil certStatus is never revoked. It may be called from
// any goroutine, and blocks only while the files are read.
func (s *certStatus) revoked() bool {
	if s == nil {
		return false
	}
	now := s.server.current()
	status := s.last.Load()
	if status == nil || status.by != now || !status.validUntil.IsZero() && !time.Now().Before(status.validUntil) {
		status = &cachedStatus{now, now.validUntil(s.certs)}
		s.last.Store(status)
	}
	return status.validUntil.IsZero()
}
