package tlsconf

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"net/url"
	"regexp"
)

// oidAltNames is the extension subjectAltName (RFC 5280, 4.2.1.6).
var oidAltNames = asn1.ObjectIdentifier{2, 5, 29, 17}

// The tags of two of its kinds of name.
const (
	tagDNS = 2
	tagURI = 6
)

// altNames returns the DNS names and URIs of a certificate byte for byte, where crypto/x509 has a URI
// as parsed only.
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

// plainHost reports whether name is a host name and nothing else: no wildcard, no address.
func plainHost(name string) bool {
	if len(name) > 253 || !hostLabels.MatchString(name) {
		return false
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

var visible = regexp.MustCompile(`^[!-~]+$`)

// plainURI reports whether text is an absolute URI in visible ASCII that is written as net/url writes it.
func plainURI(text string) bool {
	if !visible.MatchString(text) {
		return false
	}
	uri, err := url.Parse(text)
	return err == nil && uri.Scheme != "" && uri.User == nil && (uri.Host != "" || uri.Opaque != "") && uri.String() == text
}
