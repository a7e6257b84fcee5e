package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/waystest"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// anybody lets everybody do everything: who somebody is has been settled before.
type anybody struct{}

func (anybody) Authorize(*mgr.Call) error { return nil }

// everywhere runs a daemon with every way in, and returns their URLs by scheme.
func everywhere(t *testing.T, world *waystest.World) map[string]string {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: anybody{}})
	urls := map[string]string{}
	for _, way := range world.Ways() {
		socket, err := m.Open(t.Context(), way.Listen(t, waystest.Limits{}))
		require.NoError(t, err)
		urls[way.Name] = way.Name + "://" + socket.Addr().String()
		if way.Name == "unix" {
			urls[way.Name] = targets.UnixURL(socket.Addr().String())
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	return urls
}

// secretFile writes a secret as people keep it.
func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

// Every URL, with everything that can say there who we are.
func TestEveryWayIn(t *testing.T) {
	world := waystest.New(t)
	urls := everywhere(t, world)
	token, password := secretFile(t, waystest.Secret+"\n", 0o600), secretFile(t, waystest.Secret, 0o600)
	server, err := world.CA.List()
	require.NoError(t, err)
	for _, c := range []struct {
		scheme, subject string
		flags           []string
	}{
		{"unix", "uid:", nil},
		{"tcp", "anonymous:monitor", nil},
		{"tls", "cert:admin", []string{"--pki", world.Dir}},
		{"tls", "cert:admin", []string{"--ca", world.Dir + "/ca.pem", "--cert", world.Dir + "/admin.pem", "--key", world.Dir + "/admin.key"}},
		{"tls", "cert:admin", []string{"--pin", server[0].Fingerprint.Pin(), "--cert", world.Dir + "/admin.pem", "--key", world.Dir + "/admin.key"}},
		{"quic", "cert:admin", []string{"--pki", world.Dir}},
		{"wss", "cert:admin", []string{"--pki", world.Dir}},
		{"wss", "token:ci", []string{"--ca", world.Dir + "/ca.pem", "--token-file", token}},
		{"https", "cert:admin", []string{"--pki", world.Dir}},
		{"https", "user:ann", []string{"--pin", server[0].Fingerprint.Pin(), "--user", "ann", "--password-file", password}},
		{"http", "user:ann", []string{"--user", "ann", "--password-file", password}},
		{"http", "token:ci", []string{"--token-file", token}},
		{"ws", "user:ann", []string{"--user", "ann", "--password-file", password}},
	} {
		args := append([]string{"-s", urls[c.scheme]}, c.flags...)
		told := steer(t, "", append(args, "whoami")...)
		require.Zero(t, told.status, "%s: %s", args, told.err)
		require.Contains(t, told.out, c.subject, args)
		require.Contains(t, told.out, `"transport": "`+c.scheme+`"`)

		names := steer(t, "", append(append([]string{"__complete"}, args...), "who")...)
		require.Contains(t, names.out, "whoami", "completion asks in the same way")
	}
}

// What is wrong with who we are, or whom we believe, is told with what to do about it.
func TestWrongIdentity(t *testing.T) {
	world := waystest.New(t)
	urls := everywhere(t, world)
	other := waystest.New(t)
	wrong := secretFile(t, "wrong", 0o600)
	issued, err := world.CA.List()
	require.NoError(t, err)
	revoked, err := world.CA.IssueClient("revoked", "revoked", 0)
	require.NoError(t, err)
	require.NoError(t, world.CA.Revoke("revoked"))
	require.NoError(t, world.Server.Reload())
	at := testkit.Port(t) // nothing listens there
	ca := world.Dir + "/" + tlsconf.CACert

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
		{[]string{"-s", urls["tls"], "--pki", world.Dir, "--pin", "sha256:" + strings.Repeat("00", 32)}, exitNotAllowed, "sha256:" + string(issued[0].Fingerprint)},
		{[]string{"-s", urls["tls"], "--ca", ca}, exitNotAllowed, "we have no certificate: give one with --pki, or --cert and --key"},
		{[]string{"-s", urls["quic"], "--ca", ca}, exitNotAllowed, "--pki or --cert"},
		{[]string{"-s", urls["tls"], "--ca", ca, "--cert", revoked.Cert, "--key", revoked.Key}, exitNotAllowed, "the daemon does not take our certificate"},
		{[]string{"-s", urls["https"], "--ca", ca}, exitNotAllowed, "401"},
		{[]string{"-s", urls["http"], "--token-file", wrong}, exitNotAllowed, "--token-file"},
		{[]string{"-s", urls["wss"], "--ca", ca, "--token-file", wrong}, exitNotAllowed, "401"},
		{[]string{"-s", urls["ws"]}, exitNotAllowed, "401"},
		{[]string{"-s", "tcp://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "tls://" + at, "--pki", world.Dir}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "quic://" + at, "--pki", world.Dir}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "http://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", "ws://" + at}, exitUnavailable, "connection refused; is the daemon running, and "},
		{[]string{"-s", strings.Replace(urls["tcp"], "tcp:", "tls:", 1), "--pki", world.Dir}, exitUnavailable, "does not speak TLS there"},
		{[]string{"-s", urls["tls"], "--pki", t.TempDir()}, exitUsage, "--pki, --ca, --cert and --key name files that you can read"},
		{[]string{"-s", urls["http"], "--token-file", secretFile(t, "x", 0o644)}, exitUsage, "others can read it; chmod 600 it"},
		{[]string{"-s", urls["http"], "--token-file", secretFile(t, "\nx", 0o600)}, exitUsage, "its first line is empty"},
		{[]string{"-s", urls["http"], "--user", "ann"}, exitUsage, "there is no terminal to ask for the password at"},
		{[]string{"-s", urls["http"], "--password-file", wrong}, exitUsage, "--password-file needs --user"},
		{[]string{"-s", urls["http"], "--user", "ann", "--token-file", wrong}, exitUsage, "leave one out"},
		{[]string{"-s", urls["tcp"], "--pki", world.Dir}, exitUsage, "write tls://"},
	} {
		told := steer(t, "", append(c.args, "whoami")...)
		require.Contains(t, told.err, c.want, c.args)
		require.Equal(t, c.status, told.status, "%s: %s", c.args, told.err)
		require.Empty(t, told.out)
	}
}
