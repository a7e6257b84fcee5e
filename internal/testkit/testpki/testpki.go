// Package testpki makes the certificates that tests of several packages need.
package testpki

import (
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A PKI is a private CA with one certificate for a server and one for a client.
type PKI struct {
	CA           *tlsconf.CA
	Dir          string         // of the CA
	ServerIssued tlsconf.Issued // "server", valid for localhost and 127.0.0.1
	ClientIssued tlsconf.Issued // "ops", with the subject ops.example
	Server       *tlsconf.Server
	Client       *tlsconf.Client
}

// New makes a PKI in a directory that is removed when the test ends.
func New(t testing.TB) *PKI {
	t.Helper()
	pki, err := Create(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	return pki
}

// Create makes a PKI in dir, which does not exist yet. Server checks certificates against the CRL of the CA, as often as
// tlsconf does by default.
func Create(dir string) (*PKI, error) {
	ca, err := tlsconf.CreateCA(dir, "test")
	if err != nil {
		return nil, err
	}
	p := &PKI{CA: ca, Dir: dir}
	if p.ServerIssued, err = ca.IssueServer("server", []string{"localhost", "127.0.0.1"}, 0); err != nil {
		return nil, err
	}
	if p.ClientIssued, err = ca.IssueClient("ops", "ops.example", 0); err != nil {
		return nil, err
	}
	root := filepath.Join(dir, tlsconf.CACert)
	p.Server = &tlsconf.Server{
		Cert: p.ServerIssued.Cert, Key: p.ServerIssued.Key,
		ClientCA: root, CRL: filepath.Join(dir, tlsconf.CRLFile),
	}
	p.Client = &tlsconf.Client{CA: root, Cert: p.ClientIssued.Cert, Key: p.ClientIssued.Key}
	return p, nil
}
