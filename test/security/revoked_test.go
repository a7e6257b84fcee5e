//go:build linux

package security_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// Revocation closes the idle conns with the revoked credential, on every transport that keeps conns. Other conns stay open.
func TestRevocationClosesOnlyConnsWithThatCredential(t *testing.T) {
	dir := testkit.ShortDir(t)
	steer := func(stdin string, args ...string) string {
		t.Helper()
		p := testkit.StartProgram(t, dir, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(stdin) }, testkit.Program(t, "steer"), args...)
		require.Zero(t, p.Wait(t), p.Err.String())
		return p.Out.String()
	}
	steer("correct horse\n", "user", "add", "users", "ann", "--role", "monitor")
	steer("correct horse\n", "user", "add", "users", "bob", "--role", "monitor")
	steer("", "token", "mint", "tokens", "ci", "--role", "monitor", "--to", "ci.token")
	token, err := os.ReadFile(filepath.Join(dir, "ci.token"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(`
state-dir = "run"
[[listen]]
transport = "unix"
path = "run/s"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "quic"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "websocket"
address = "127.0.0.1:0"
pki = "auto"
[auth]
users-file = "users"
tokens-file = "tokens"
[[principal]]
subject = "cert:ops"
role = "monitor"
[[principal]]
subject = "cert:dns"
role = "monitor"
`), 0o600))
	d := testkit.StartProgram(t, dir, nil, testkit.Program(t, "rudderpostd"), "-c", "config.toml")
	d.Listening(t)
	overTLS, overQUIC, web := d.ListeningOn(t, "tls"), d.ListeningOn(t, "quic"), d.ListeningOn(t, "wss")
	pki := filepath.Join(dir, "run", "pki")
	steer("", "pki", "issue", "run/pki", "ops", "--client", "--san", "ops")
	steer("", "pki", "issue", "run/pki", "dns", "--client", "--san", "dns")
	ca := &tlsconf.Client{CA: filepath.Join(pki, "ca.pem")}
	ops, dns := tlsconf.ClientFrom(pki, "ops"), tlsconf.ClientFrom(pki, "dns")
	wss := func(id *tlsconf.Client, claim transport.Claim) transport.Dialer {
		return &websocket.Transport{Address: web, Client: id, Credentials: claim}
	}
	dial := func(dialer transport.Dialer) transport.Conn {
		t.Helper()
		conn, err := dialer.Dial(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		requireAlive(t, conn)
		return conn
	}
	revoked := map[string]transport.Conn{
		"token":         dial(wss(ca, transport.Claim{Token: strings.TrimSpace(string(token))})),
		"password":      dial(wss(ca, transport.Claim{User: "ann", Password: "correct horse"})),
		"wss with ops":  dial(wss(ops, transport.Claim{})),
		"both":          dial(wss(ops, transport.Claim{User: "bob", Password: "correct horse"})),
		"tls with ops":  dial(&tcp.Transport{Address: overTLS, Client: ops}),
		"quic with ops": dial(&quic.Transport{Address: overQUIC, Client: ops}),
	}
	others := []transport.Conn{
		dial(wss(ca, transport.Claim{User: "bob", Password: "correct horse"})), dial(wss(dns, transport.Claim{})),
		dial(&tcp.Transport{Address: overTLS, Client: dns}), dial(&quic.Transport{Address: overQUIC, Client: dns}),
	}
	steer("", "token", "remove", "tokens", "ci")
	steer("another horse\n", "user", "passwd", "users", "ann")
	require.Contains(t, steer("", "pki", "revoke", "run/pki", "ops"), "closes the open ones, within seconds") // the rest of this test checks that
	for name, conn := range revoked {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
		_, err := conn.Receive(ctx, nil)
		require.NoError(t, ctx.Err(), "%s is still connected", name)
		require.Error(t, err)
		cancel()
	}
	for _, conn := range others {
		requireAlive(t, conn)
	}
	_, err = client.Do(t.Context(), &tcp.Transport{Address: overTLS, Client: ops}, wire.Request{Command: "whoami"})
	require.Error(t, err)
	for _, conn := range others {
		require.NoError(t, conn.Close())
	}
	require.NoError(t, d.Process.Signal(syscall.SIGTERM)) // the QUIC connections would stay open for a minute
	require.Zero(t, d.Wait(t))
}

// requireAlive requires that the daemon answers a whoami on conn.
func requireAlive(t *testing.T, conn transport.Conn) {
	t.Helper()
	require.NoError(t, conn.Send(t.Context(), []byte(`{"command":"whoami","id":1}`)))
	reply, err := conn.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.Contains(t, string(reply), `"result":0`)
}
