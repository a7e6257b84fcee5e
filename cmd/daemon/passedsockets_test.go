//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The daemon finds sockets of every kind that systemd passes by their names.
func TestPassedSocketsAreUsedByName(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, `
state-dir = "run"
[auth]
tokens-file = "run/tokens"
[[listen]]
transport = "unix"
socket = "local"
[[listen]]
transport = "tcp"
socket = "remote"
pki = "auto"
[[listen]]
transport = "websocket"
socket = "web"
pki = "auto"
[[listen]]
transport = "http"
socket = "kea"
insecure = true
`)
	p := startBySocketActivation(t, dir, "unix", filepath.Join(dir, "s"), "--fdname=local:remote:web:kea",
		"-l", filepath.Join(dir, "s"), "-l", testkit.Port(t), "-l", testkit.Port(t), "-l", testkit.Port(t))
	urls := p.urls(4)
	for i, scheme := range []string{"unix:", "tls:", "wss:", "http:"} {
		require.True(t, strings.HasPrefix(urls[i], scheme), urls[i])
		id := targets.ClientConfig{}
		switch scheme {
		case "tls:", "wss:":
			id.PKI = filepath.Join(dir, "run", "pki")
		case "http:":
			token, err := os.ReadFile(filepath.Join(dir, "run", "first.token"))
			require.NoError(t, err)
			id.Claim.Token = strings.TrimSpace(string(token))
		}
		dialer, err := targets.Parse(urls[i], id)
		require.NoError(t, err)
		reply, err := client.Do(t.Context(), dialer, wire.Request{Command: "whoami"})
		require.NoError(t, err, urls[i])
		require.Zero(t, reply.Code, reply.Text)
	}
	p.stop()
	require.FileExists(t, filepath.Join(dir, "s"), "the daemon removed a socket of systemd")
}

// startBySocketActivation lets systemd-socket-activate open sockets and pass them to a daemon when a client connects.
func startBySocketActivation(t *testing.T, dir, network, first string, args ...string) *process {
	t.Helper()
	program := testkit.NeedProgram(t, "systemd-socket-activate", "systemd")
	self, err := os.Executable()
	require.NoError(t, err)
	args = append(args, "-E", beDaemon+"=1", self, "-c", "config.toml")
	p := startCommand(t, dir, nil, exec.Command(program, args...))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "Listening on") }, "it does not listen")
	conn, err := net.Dial(network, first)
	require.NoError(t, err)
	_, err = conn.Write([]byte(" "))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	return p
}

// QUIC uses a datagram socket. (systemd-socket-activate opens either streams or datagrams.)
func TestPassedDatagramSocketServesQUIC(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, "state-dir = \"run\"\n[[listen]]\ntransport = \"quic\"\nsocket = \"fast\"\npki = \"auto\"\n")
	port := testkit.Port(t)
	p := startBySocketActivation(t, dir, "udp", port, "-d", "--fdname=fast", "-l", port)
	url := p.urls(1)[0]
	dialer, err := targets.Parse(url, targets.ClientConfig{PKI: filepath.Join(dir, "run", "pki")})
	require.NoError(t, err)
	reply, err := client.Do(t.Context(), dialer, wire.Request{Command: "whoami"})
	require.NoError(t, err)
	require.Zero(t, reply.Code, reply.Text)
	p.stop()
}

// A passed socket that no listener uses, and a missing one, are errors with their names.
func TestUnusedAndMissingPassedSocketsAreErrors(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, "[[listen]]\ntransport = \"unix\"\nsocket = \"local\"\n")
	p := start(t, dir, nil, "-c", "config.toml")
	require.Equal(t, 1, p.wait())
	require.Equal(t, "rudderpostd: listen 1 (unix): no socket named \"local\" was passed (none was passed); set FileDescriptorName= in its unit\n", p.Err.String())
}
