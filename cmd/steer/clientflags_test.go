package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// allowAll allows every command: these tests are about authentication.
type allowAll struct{}

func (allowAll) Authorize(*mgr.Call) error { return nil }

// serveAllTransports runs a daemon with a listener of each transport, and returns their URLs by scheme.
func serveAllTransports(t *testing.T, env *alltransports.Env) map[string]string {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: allowAll{}})
	urls := map[string]string{}
	for _, tc := range env.Cases() {
		socket, err := m.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		require.NoError(t, err)
		urls[tc.Name] = tc.Name + "://" + socket.Addr().String()
		if tc.Name == "unix" {
			urls[tc.Name] = targets.UnixURL(socket.Addr().String())
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	return urls
}

// secretFile writes a secret to a file with that mode.
func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// Each transport is tried with each kind of credential that it supports.
func TestEachTransportAndCredential(t *testing.T) {
	env := alltransports.New(t)
	urls := serveAllTransports(t, env)
	token, password := secretFile(t, alltransports.Secret+"\n", 0o600), secretFile(t, alltransports.Secret, 0o600)
	server, err := env.CA.List()
	require.NoError(t, err)
	for _, c := range []struct {
		scheme, subject string
		flags           []string
	}{
		{"unix", "uid:", nil},
		{"tcp", "anonymous:monitor", nil},
		{"tls", "cert:admin", []string{"--pki", env.Dir}},
		{"tls", "cert:admin", []string{"--ca", env.Dir + "/ca.pem", "--cert", env.Dir + "/admin.pem", "--key", env.Dir + "/admin.key"}},
		{"tls", "cert:admin", []string{"--pin", server[0].Fingerprint.Pin(), "--cert", env.Dir + "/admin.pem", "--key", env.Dir + "/admin.key"}},
		{"quic", "cert:admin", []string{"--pki", env.Dir}},
		{"wss", "cert:admin", []string{"--pki", env.Dir}},
		{"wss", "token:ci", []string{"--ca", env.Dir + "/ca.pem", "--token-file", token}},
		{"https", "cert:admin", []string{"--pki", env.Dir}},
		{"https", "user:ann", []string{"--pin", server[0].Fingerprint.Pin(), "--user", "ann", "--password-file", password}},
		{"http", "user:ann", []string{"--user", "ann", "--password-file", password}},
		{"http", "token:ci", []string{"--token-file", token}},
		{"ws", "user:ann", []string{"--user", "ann", "--password-file", password}},
	} {
		args := append([]string{"-s", urls[c.scheme]}, c.flags...)
		got := steer(t, "", append(args, "whoami")...)
		require.Zero(t, got.status, "%s: %s", args, got.stderr)
		require.Contains(t, got.stdout, c.subject, args)
		require.Contains(t, got.stdout, `"transport": "`+c.scheme+`"`)

		names := steer(t, "", append(append([]string{"__complete"}, args...), "who")...)
		require.Contains(t, names.stdout, "whoami", "completion asks in the same way")
	}
}

// A wrong credential or an untrusted daemon yields an error that says what to do.
func TestConnectErrorsOfTLSAndCredentials(t *testing.T) {
	env := alltransports.New(t)
	urls := serveAllTransports(t, env)
	other := alltransports.New(t)
	wrong := secretFile(t, "wrong", 0o600)
	issued, err := env.CA.List()
	require.NoError(t, err)
	revoked, err := env.CA.IssueClient("revoked", "revoked", 0)
	require.NoError(t, err)
	require.NoError(t, env.CA.Revoke("revoked"))
	require.NoError(t, env.Server.Reload())
	at := testkit.Port(t) // no listener has this address
	ca := env.Dir + "/" + tlsconf.CACert

	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-s", urls["tls"]}, exitNotAllowed, "sha256:" + string(issued[0].Fingerprint)},
		{[]string{"-s", urls["tls"], "--pki", other.Dir}, exitNotAllowed, "give its CA with --ca or --pki, or pin it"},
		{[]string{"-s", urls["quic"], "--pki", other.Dir}, exitNotAllowed, "sha256:" + string(issued[0].Fingerprint)},
		{[]string{"-s", urls["wss"], "--ca", other.Dir + "/ca.pem"}, exitNotAllowed, "give its CA with --ca or --pki, or pin it"},
		{[]string{"-s", urls["https"], "--ca", other.Dir + "/ca.pem"}, exitNotAllowed, "give its CA with --ca or --pki, or pin it"},
		{[]string{"-s", urls["tls"], "--pki", env.Dir, "--pin", "sha256:" + strings.Repeat("00", 32)}, exitNotAllowed, "sha256:" + string(issued[0].Fingerprint)},
		{[]string{"-s", urls["tls"], "--ca", ca}, exitNotAllowed, "the daemon requires a client certificate: give one with --pki, or with --cert and --key"},
		{[]string{"-s", urls["quic"], "--ca", ca}, exitNotAllowed, "--pki or --cert"},
		{[]string{"-s", urls["tls"], "--ca", ca, "--cert", revoked.Cert, "--key", revoked.Key}, exitNotAllowed, "the daemon refuses the client certificate"},
		{[]string{"-s", urls["https"], "--ca", ca}, exitNotAllowed, "401"},
		{[]string{"-s", urls["http"], "--token-file", wrong}, exitNotAllowed, "--token-file"},
		{[]string{"-s", urls["wss"], "--ca", ca, "--token-file", wrong}, exitNotAllowed, "401"},
		{[]string{"-s", urls["ws"]}, exitNotAllowed, "401"},
		{[]string{"-s", "tcp://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "tls://" + at, "--pki", env.Dir}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "quic://" + at, "--pki", env.Dir}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "http://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "ws://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", strings.Replace(urls["tcp"], "tcp:", "tls:", 1), "--pki", env.Dir}, exitUnavailable, "does not speak TLS there"},
		{[]string{"-s", urls["tls"], "--pki", t.TempDir()}, exitUsage, "--pki, --ca, --cert and --key name files that you can read"},
		{[]string{"-s", urls["http"], "--token-file", secretFile(t, "x", 0o644)}, exitUsage, "other users can read it; do chmod 600 on it"},
		{[]string{"-s", urls["http"], "--token-file", secretFile(t, "\nx", 0o600)}, exitUsage, "the first line is empty"},
		{[]string{"-s", urls["http"], "--user", "ann"}, exitUsage, "standard input is not a terminal, so steer cannot ask for the password"},
		{[]string{"-s", urls["http"], "--password-file", wrong}, exitUsage, "--password-file needs --user"},
		{[]string{"-s", urls["http"], "--user", "ann", "--token-file", wrong}, exitUsage, "leave one out"},
		{[]string{"-s", urls["tcp"], "--pki", env.Dir}, exitUsage, "write tls://"},
	} {
		got := steer(t, "", append(c.args, "whoami")...)
		require.Contains(t, got.stderr, c.want, c.args)
		require.Equal(t, c.status, got.status, "%s: %s", c.args, got.stderr)
		require.Empty(t, got.stdout)
	}
}
