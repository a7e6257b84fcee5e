package tlsconf

import (
	"crypto/tls"

	"github.com/rudderpost/rudderpost/transport"
)

// Creds returns what the client of a finished handshake has proven: its URI SANs, its DNS SANs, and the
// fingerprint. Without a verified certificate it is nothing. A name that two readers may read in two ways
// is left out: a DNS name that is not a plain host name (a wildcard, a byte that is not ASCII), and a URI
// that is not written as it would be again. Nobody knows of these whether they are revoked later.
func Creds(state tls.ConnectionState) []transport.Credential { return credsOf(state, nil) }

// Creds returns what Creds does for a handshake with a configuration of the Server. All of these are
// transport.Revocable: they cease to be true when the same certificate would be refused, because it has
// been revoked, has expired, or its authority is no longer believed. A handshake, or a question whether
// one is revoked, looks at the files as often as CheckEvery says.
func (s *Server) Creds(state tls.ConnectionState) []transport.Credential {
	return credsOf(state, &proof{server: s, certs: state.PeerCertificates})
}

var (
	_ transport.Revocable = Cert{}
	_ transport.Revocable = CertSHA256{}
)

func credsOf(state tls.ConnectionState, p *proof) []transport.Credential {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	dns, uris := altNames(leaf)
	var creds []transport.Credential
	for _, uri := range uris {
		if plainURI(uri) {
			creds = append(creds, Cert{uri, leaf, "cert:" + uri, p})
		}
	}
	for _, name := range dns {
		if plainHost(name) {
			creds = append(creds, Cert{name, leaf, "cert:" + name, p})
		}
	}
	fingerprint := FingerprintOf(leaf)
	return append(creds, CertSHA256{fingerprint, leaf, fingerprint.Subject(), p})
}
