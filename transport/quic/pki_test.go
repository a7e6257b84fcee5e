package quic_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// An authority issues certificates into a folder.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

func newAuthority(t testing.TB, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: long.before, NotAfter: long.after,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.save(name+".pem", "CERTIFICATE", der)
	return a
}

// long is a period that includes real and virtual times.
var long = struct{ before, after time.Time }{
	time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
}

// issue makes NAME.pem and NAME.key. change may change the certificate.
func (a *authority) issue(name string, use x509.ExtKeyUsage, change func(*x509.Certificate)) *x509.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serial), Subject: pkix.Name{CommonName: name},
		NotBefore: long.before, NotAfter: long.after,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		DNSNames: []string{name},
	}
	if use == x509.ExtKeyUsageServerAuth {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1), net.IPv6loopback}
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	a.save(name+".pem", "CERTIFICATE", der)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	a.save(name+".key", "PRIVATE KEY", text)
	cert, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return cert
}

// revoke writes crl.pem.
func (a *authority) revoke(certs ...*x509.Certificate) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: long.before, NextUpdate: long.after}
	for _, cert := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: long.before})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	require.NoError(a.t, err)
	a.save("crl.pem", "X509 CRL", der)
}

func (a *authority) save(name, kind string, der []byte) {
	a.t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, name), text, 0o600))
}

// files is a folder with an authority "ca", a server certificate and the client certificate "ops.example".
var files struct {
	once           sync.Once
	dir            string
	server, client *x509.Certificate
}

func pki(t testing.TB) string {
	t.Helper()
	files.once.Do(func() {
		dir, err := os.MkdirTemp("", "rudderpost-quic")
		require.NoError(t, err)
		files.dir = dir
		ca := newAuthority(t, dir, "ca")
		files.server = ca.issue("daemon.example", x509.ExtKeyUsageServerAuth, nil)
		files.client = ca.issue("ops.example", x509.ExtKeyUsageClientAuth, nil)
	})
	return files.dir
}

// server returns the TLS files of the daemon.
func server(t testing.TB) *tlsconf.Server {
	t.Helper()
	dir := pki(t)
	return &tlsconf.Server{Cert: dir + "/daemon.example.pem", Key: dir + "/daemon.example.key", ClientCA: dir + "/ca.pem"}
}

// client returns the TLS files of a client, by the name of its certificate.
func client(t testing.TB, name string) *tlsconf.Client {
	t.Helper()
	dir := pki(t)
	c := &tlsconf.Client{CA: dir + "/ca.pem"}
	if name != "" {
		c.Cert, c.Key = dir+"/"+name+".pem", dir+"/"+name+".key"
	}
	return c
}

// place returns a Transport at a free port of this machine.
func place(t testing.TB) *quic.Transport {
	t.Helper()
	return &quic.Transport{Address: "127.0.0.1:0", TLS: server(t)}
}
