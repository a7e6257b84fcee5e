package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// runPKI runs "steer pki".
func runPKI(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := pkiCommand(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	err := cmd.Execute()
	return out.String(), err
}

func TestPKILifecycle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	for _, step := range []struct {
		args []string
		want string // DATE and PIN stand for text that changes
	}{
		{[]string{"init", dir}, `made a CA in DIR
  DIR/ca.pem   for every daemon (client-ca) and every client (--ca)
  DIR/crl.pem  for every daemon (crl); copy it again after each revoke
  DIR/ca.key   stays here, secret; keep a backup
next: steer pki issue DIR NAME --server --host HOST
      steer pki issue DIR NAME --client
`},
		{[]string{"issue", dir, "dhcp1", "--server", "--host", "dhcp1.example", "--host", "127.0.0.1", "--days", "30"}, `issued dhcp1 for a daemon at dhcp1.example, 127.0.0.1, until DATE
  DIR/dhcp1.pem  for the daemon (cert)
  DIR/dhcp1.key  for the daemon (key); keep it secret
a client without the CA can pin the certificate: PIN
`},
		{[]string{"issue", dir, "ann", "--client", "--san", "spiffe://example/ann"}, `issued ann for a client, until DATE
  DIR/ann.pem  for the client (--cert)
  DIR/ann.key  for the client (--key); keep it secret
  DIR/ca.pem   for the client (--ca)
next: give the subject "cert:spiffe://example/ann" a role, in a [[principal]] of the daemon's configuration
`},
		{[]string{"issue", dir, "ben", "--client"}, `issued ben for a client, until DATE
  DIR/ben.pem  for the client (--cert)
  DIR/ben.key  for the client (--key); keep it secret
  DIR/ca.pem   for the client (--ca)
next: give the subject "cert:ben" a role, in a [[principal]] of the daemon's configuration
`},
		{[]string{"revoke", dir, "ann"}, `revoked ann
  DIR/crl.pem  copy it to each daemon that does not read this file (crl)
each daemon that reads it refuses new conns of ann, and closes the open ones, within seconds
`},
		{[]string{"list", dir}, `NAME   KIND    NAMES                    UNTIL       REVOKED     FINGERPRINT
dhcp1  server  dhcp1.example,127.0.0.1  DATE  -           PIN
ann    client  spiffe://example/ann     DATE  DATE  PIN
ben    client  ben                      DATE  -           PIN
`},
	} {
		out, err := runPKI(step.args...)
		require.NoError(t, err)
		out = strings.ReplaceAll(out, dir, "DIR")
		out = regexp.MustCompile(`\d{4}-\d\d-\d\d`).ReplaceAllString(out, "DATE")
		out = regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(out, "PIN")
		require.Equal(t, step.want, out)
	}
	openssl := testkit.NeedProgram(t, "openssl", "openssl")
	verify := func(purpose, name string) error {
		return exec.CommandContext(t.Context(), openssl, "verify", "-crl_check", "-purpose", purpose, "-CAfile", filepath.Join(dir, "ca.pem"),
			"-CRLfile", filepath.Join(dir, "crl.pem"), filepath.Join(dir, name+".pem")).Run()
	}
	require.NoError(t, verify("sslserver", "dhcp1"))
	require.NoError(t, verify("sslclient", "ben"))
	require.Error(t, verify("sslclient", "ann"))
}

func TestPKIWrongArguments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	_, err := runPKI("init", dir)
	require.NoError(t, err)
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "pki needs one of init, issue, revoke and list"},
		{"inti DIR", `unknown command "inti"`},
		{"init", "accepts 1 arg(s), received 0"},
		{"init DIR", "file already exists"},
		{"init DIR2 --name=", "has not 1 to 64 bytes"},
		{"issue DIR ann", "at least one of the flags in the group [server client] is required"},
		{"issue DIR ann --client --server", "none of the others can be"},
		{"issue DIR ann --client --host h", "none of the others can be"},
		{"issue DIR d --server --san s", "none of the others can be"},
		{"issue DIR d --server", "needs a host"},
		{"issue DIR ann --client --days 826", "825 days at most"},
		{"issue DIR ann --client --days 9000000000000000000", "825 days at most"},
		{"issue DIR ann --client --days -1", "have ended already"},
		{"issue DIR ../ann --client", "the name"},
		{"issue DIR2 ann --client", "steer pki init creates one"},
		{"revoke DIR ann", "nothing was issued under that name"},
		{"list DIR2", "no CA in "},
	} {
		args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(test.args, "DIR2", dir+"2"), "DIR", dir))
		_, err := runPKI(args...)
		require.ErrorContains(t, err, test.want, test.args)
	}
	_, err = os.Stat(dir + "2")
	require.ErrorIs(t, err, os.ErrNotExist)
}
