package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The certificate of pki = "auto" has these names and addresses.
func TestCertificateHosts(t *testing.T) {
	for address, want := range map[string][]string{
		"127.0.0.1:7":   {"127.0.0.1"},
		"[::1]:7":       {"::1"},
		"ns1.example:7": {"ns1.example"},
		"":              nil, // a passed socket
		":7":            localHosts(),
		"0.0.0.0:7":     localHosts(),
		"[::]:7":        localHosts(),
	} {
		require.Equal(t, want, (&Listen{Address: address}).certificateHosts(), address)
	}
	require.Equal(t, []string{"a.example", "b.example"}, (&Listen{AllowHosts: []string{"a.example", "b.example:8443"}}).certificateHosts())
}

// A daemon at all addresses serves TLS at each of them without more configuration.
func TestAutomaticCertificateCoversAllAddresses(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, "state-dir = \"run\"\n[[listen]]\ntransport = \"tcp\"\naddress = \":0\"\npki = \"auto\"\n")
	p := start(t, dir, nil, "-c", "config.toml")
	_, port, err := net.SplitHostPort(p.urls(1)[0][len("tls://"):])
	require.NoError(t, err)
	tried := 0
	for _, host := range append(localHosts(), "127.0.0.1") {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			continue // a name that does not resolve to this machine
		}
		_ = conn.Close()
		dialer, err := targets.Parse("tls://"+net.JoinHostPort(host, port), targets.ClientConfig{PKI: filepath.Join(dir, "run", "pki")})
		require.NoError(t, err)
		reply, err := client.Do(t.Context(), dialer, wire.Request{Command: "whoami"})
		require.NoError(t, err, host)
		require.Zero(t, reply.Code)
		tried++
	}
	require.NotZero(t, tried)
	p.stop()
}

// A shell reads the printed command lines back unchanged.
func TestShellWord(t *testing.T) {
	for _, path := range []string{"", "/run/rp/pki", "/home/an n/it's $HOME", "a;b", "~x"} {
		out, err := exec.Command("sh", "-c", "printf '%s' "+shellWord(path)).Output()
		require.NoError(t, err)
		require.Equal(t, path, string(out))
	}
}
