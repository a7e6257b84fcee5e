package tlsconf_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// Some names in a certificate are credentials, and some are not.
func TestCredsOfCertificateNames(t *testing.T) {
	for _, test := range []struct {
		name  string
		sans  []asn1.RawValue
		creds []string
	}{
		{"none", nil, nil},
		{"DNS", []asn1.RawValue{dns("ops.example")}, []string{"cert:ops.example"}},
		{"URIs first", []asn1.RawValue{dns("ops.example"), uri("spiffe://example/ops")}, []string{"cert:spiffe://example/ops", "cert:ops.example"}},
		{"case is kept", []asn1.RawValue{dns("OPS.example")}, []string{"cert:OPS.example"}},
		{"one label", []asn1.RawValue{dns("admin")}, []string{"cert:admin"}},
		{"wildcards", []asn1.RawValue{dns("*.example"), dns("*"), dns("a*.example")}, nil},
		{"NUL", []asn1.RawValue{dns("ops.example\x00.evil"), uri("spiffe://example/ops\x00")}, nil},
		{"a URI for a DNS name", []asn1.RawValue{dns("spiffe://example/ops")}, nil},
		{"another subject", []asn1.RawValue{dns("user:ann"), dns("uid:0"), dns("-sha256:00")}, nil},
		{"two in one", []asn1.RawValue{dns("ops.example,root.example"), dns("ops.example root.example"), dns("ops.example\n")}, nil},
		{"odd dots", []asn1.RawValue{dns("ops.example."), dns(".ops"), dns("a..b")}, nil},
		{"an address", []asn1.RawValue{dns("192.0.2.1")}, nil},
		{"e-mail", []asn1.RawValue{email("ops@example")}, nil},
		{"URIs that read in two ways", []asn1.RawValue{
			uri("SPIFFE://example/ops"), uri("spiffe://example/o%70s%zz"), uri("spiffe://example/ops extra"), uri("//example/ops"), uri("ops"),
			uri("spiffe://root@example/ops"), uri("spiffe:"), uri("spiffe:///ops#"),
		}, nil},
		{"an opaque URI", []asn1.RawValue{uri("urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8")}, []string{"cert:urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.creds, credsOf(t, test.sans...))
			for _, san := range test.sans { // crypto/x509 refuses some of them, and with them the others
				require.Subset(t, test.creds, credsOf(t, san))
			}
		})
	}
}

// credsOf returns the subjects of a certificate with these names, without the fingerprint.
func credsOf(t *testing.T, sans ...asn1.RawValue) []string {
	t.Helper()
	cert, err := x509.ParseCertificate(forgeNames(t, sans...))
	if err != nil {
		return nil
	}
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	creds := tlsconf.Creds(state)
	last := creds[len(creds)-1]
	require.Equal(t, tlsconf.FingerprintOf(cert), last.(tlsconf.CertSHA256).Fingerprint)
	require.Equal(t, "cert-sha256:"+string(tlsconf.FingerprintOf(cert)), last.Subject())
	var subjects []string
	for _, cred := range creds[:len(creds)-1] {
		require.Same(t, cert, cred.(tlsconf.Cert).Leaf)
		subjects = append(subjects, cred.Subject())
	}
	state.VerifiedChains = nil
	require.Empty(t, tlsconf.Creds(state), "a certificate that was not verified has no credentials")
	return subjects
}

// forgeNames returns a certificate with SANs that no library would write. Its distinguished name has many names, in
// the wrong order and two in one element.
func forgeNames(t *testing.T, sans ...asn1.RawValue) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	value, err := asn1.Marshal(sans)
	require.NoError(t, err)
	commonName, unit := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 11}
	subject, err := asn1.Marshal(pkix.RDNSequence{
		{{Type: commonName, Value: "root.example"}, {Type: unit, Value: "admin"}},
		{{Type: unit, Value: "CN=admin"}},
		{{Type: commonName, Value: "admin\x00.example"}},
		{{Type: commonName, Value: "\u0430dmin"}}, // a Cyrillic a
	})
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject}
	if sans != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return der
}

func name(tag int) func(string) asn1.RawValue {
	return func(text string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
	}
}

var email, dns, uri = name(1), name(2), name(6)
