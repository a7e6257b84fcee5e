package tlsconf_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// The daemon says why it refuses a client.
func TestRefusedClientLearnsWhy(t *testing.T) {
	ca, dir := newCA(t, "ours")
	_, other := newCA(t, "ours") // by the same name
	_, err := ca.IssueServer("daemon", []string{"localhost"}, 0)
	require.NoError(t, err)
	_, err = ca.IssueClient("gone", "", 0)
	require.NoError(t, err)
	require.NoError(t, ca.Revoke("gone"))
	gone, err := tls.LoadX509KeyPair(filepath.Join(dir, "gone.pem"), filepath.Join(dir, "gone.key"))
	require.NoError(t, err)

	ours, theirs := authorityOf(t, dir), authorityOf(t, other)
	usage := func(usages ...x509.ExtKeyUsage) tls.Certificate {
		return ours.forge(t, func(c *x509.Certificate) { c.ExtKeyUsage = usages })
	}
	tests := []struct {
		name string
		cert tls.Certificate
		says string // "" is a welcome
	}{
		{"good", ours.forge(t, nil), ""},
		{"for clients and servers", usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), ""},
		{"none", tls.Certificate{}, "client didn't provide a certificate"},
		{"self-signed", authority{}.forge(t, nil), "unknown authority"},
		{"other CA", theirs.forge(t, nil), "unknown authority"},
		{"expired", ours.forge(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "has expired or is not yet valid"},
		{"not yet valid", ours.forge(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), "has expired or is not yet valid"},
		{"for servers", usage(x509.ExtKeyUsageServerAuth), "incompatible key usage"},
		{"for code", usage(x509.ExtKeyUsageCodeSigning), "incompatible key usage"},
		{"for nothing in particular", usage(), "lacks the extended key usage clientAuth"},
		{"for anything", usage(x509.ExtKeyUsageAny), "lacks the extended key usage clientAuth"},
		{"revoked", gone, "is revoked"},
		{"a name with a critical extension", ours.forge(t, func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, unknownCritical)
		}), "unhandled critical extension"},
	}
	server := tlsconf.Server{
		Cert: filepath.Join(dir, "daemon.pem"), Key: filepath.Join(dir, "daemon.key"),
		ClientCA: filepath.Join(dir, tlsconf.CACert), CRL: filepath.Join(dir, tlsconf.CRLFile),
	}
	required, err := server.Config(tls.RequireAndVerifyClientCert)
	require.NoError(t, err)
	welcome, err := server.Config(tls.VerifyClientCertIfGiven)
	require.NoError(t, err)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := &tls.Config{
				ServerName:           "localhost",
				RootCAs:              x509.NewCertPool(),
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.cert, nil },
			}
			client.RootCAs.AddCert(ours.cert)
			o := connect(t, required, client)
			if test.says == "" {
				require.Len(t, tlsconf.Creds(o.ok(t).atServer), 2)
			} else {
				require.ErrorContains(t, o.server, test.says)
				require.Error(t, o.client)
			}
			// Where a certificate is welcome, a bad one is refused all the same.
			o = connect(t, welcome, client)
			if test.says == "" || test.cert.Certificate == nil {
				o.ok(t)
			} else {
				require.ErrorContains(t, o.server, test.says)
			}
			if test.cert.Certificate == nil {
				require.Empty(t, tlsconf.Creds(o.atServer))
			}
		})
	}
	t.Run("TLS 1.2", func(t *testing.T) {
		o := connect(t, required, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true})
		require.ErrorContains(t, o.server, "client offered only unsupported versions")
		require.ErrorContains(t, o.client, "protocol version not supported")
	})
	t.Run("other ALPN", func(t *testing.T) {
		spoken, err := server.Config(tls.NoClientCert, "rudderpost.v1")
		require.NoError(t, err)
		o := connect(t, spoken, &tls.Config{NextProtos: []string{"h2"}, InsecureSkipVerify: true})
		require.ErrorContains(t, o.server, "unsupported application protocols")
	})
}

// unknownCritical is a critical extension that is not known.
var unknownCritical = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1}, Critical: true, Value: []byte{5, 0}}

// An intermediate authority can be revoked too, and the CRL must have a list of it.
func TestIntermediateAuthorityCanBeRevoked(t *testing.T) {
	ca, dir := newCA(t, "the daemon's")
	_, err := ca.IssueServer("daemon", []string{"localhost"}, 0)
	require.NoError(t, err)

	asCA := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = name, true, true
			c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil, nil
		}
	}
	as := func(c tls.Certificate) authority { return authority{c.Leaf, c.PrivateKey.(crypto.Signer)} }
	rootPair := authority{}.forge(t, asCA("root"))
	root := as(rootPair)
	middlePair := root.forge(t, asCA("middle"))
	middle := as(middlePair)
	leaf := middle.forge(t, nil)
	leaf.Certificate = append(leaf.Certificate, middle.cert.Raw)

	pemOf := func(a authority) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	}
	revoke := func(c *x509.Certificate) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: c.SerialNumber, RevocationTime: time.Now()}}
		}
	}
	for _, test := range []struct {
		name    string
		cas     []byte
		crl     []byte
		atStart string
		says    string
	}{
		{"only the root's", pemOf(root), root.crl(t, nil), "", `holds no CRL of "CN=middle"`},
		{"one of an authority that is not named", pemOf(root), slices.Concat(root.crl(t, nil), middle.crl(t, nil)), `the CRL of "CN=middle" is signed by none`, ""},
		{"both", slices.Concat(pemOf(root), pemOf(middle)), slices.Concat(root.crl(t, nil), middle.crl(t, nil)), "", ""},
		{"leaf revoked", slices.Concat(pemOf(root), pemOf(middle)), slices.Concat(root.crl(t, nil), middle.crl(t, revoke(leaf.Leaf))), "", "is revoked"},
		{"middle revoked", slices.Concat(pemOf(root), pemOf(middle)), slices.Concat(root.crl(t, revoke(middle.cert)), middle.crl(t, nil)), "", "is revoked"},
		{"the other's serial number", slices.Concat(pemOf(root), pemOf(middle)), slices.Concat(root.crl(t, revoke(leaf.Leaf)), middle.crl(t, revoke(middle.cert))), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cas, crl := filepath.Join(t.TempDir(), "cas"), filepath.Join(t.TempDir(), "crl")
			put(t, cas, test.cas, 0o644)
			put(t, crl, test.crl, 0o644)
			server := tlsconf.Server{Cert: filepath.Join(dir, "daemon.pem"), Key: filepath.Join(dir, "daemon.key"), ClientCA: cas, CRL: crl}
			config, err := server.Config(tls.RequireAndVerifyClientCert)
			if test.atStart != "" {
				require.ErrorContains(t, err, test.atStart)
				return
			}
			require.NoError(t, err)
			o := connect(t, config, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{leaf}})
			if test.says == "" {
				o.ok(t)
			} else {
				require.ErrorContains(t, o.server, test.says)
			}
		})
	}
}
