package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// ownershipConfig names a file of each kind, in DIR.
const ownershipConfig = `state-dir = "DIR/state"
log-file = "DIR/log/log"
[[listen]]
transport = "unix"
path = "DIR/run/control.sock"
[[listen]]
transport = "quic"
address = "127.0.0.1:0"
pki = "auto"
[[listen]]
transport = "tcp"
address = "127.0.0.1:0"
cert = "DIR/tls/server.pem"
key = "DIR/tls/server.key"
client-ca = "DIR/tls/ca.pem"
crl = "DIR/tls/crl.pem"
[auth]
users-file = "DIR/secret/users"
tokens-file = "DIR/secret/tokens"
[audit]
file = "DIR/audit/audit.jsonl"
[[hook]]
name = "hello"
exec = ["DIR/hook/hello.sh"]
`

// newOwnershipDir creates the folders of ownershipConfig. The configuration is in DIR/etc.
func newOwnershipDir(t *testing.T) (dir, config string) {
	t.Helper()
	dir = testkit.ShortDir(t)
	for _, name := range []string{"etc", "state", "log", "run", "secret", "audit", "hook"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	ca, err := tlsconf.CreateCA(filepath.Join(dir, "tls"), "test")
	require.NoError(t, err)
	_, err = ca.IssueServer("server", []string{"localhost"}, 0)
	require.NoError(t, err)
	hook := "#!/bin/sh\nread hello\necho '{\"introduce\":{\"commands\":[]}}'\nread end\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hook", "hello.sh"), []byte(hook), 0o755))
	return dir, writeConfig(t, filepath.Join(dir, "etc"), strings.ReplaceAll(ownershipConfig, "DIR", dir))
}

// The daemon does not start with a file that another user could have changed. The error names the component and a
// remedy.
func TestRootDaemonRefusesFilesOfOtherUsers(t *testing.T) {
	testkit.NeedRoot(t)
	place := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			testkit.ChownAll(t, path, 1000, 50)
		}
	}
	own := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { testkit.ChownAll(t, filepath.Join(dir, name), 1000, 50) }
	}
	wide := func(name string, mode os.FileMode) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, name), mode)) }
	}
	fifo := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			require.NoError(t, os.RemoveAll(path))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, syscall.Mkfifo(path, 0o600))
		}
	}
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"configuration":               {own("etc/config.toml"), "DIR/etc/config.toml: it belongs to the user 1000; only root is trusted; do: chown 0 DIR/etc/config.toml, or trust that user with --trust-owner 1000"},
		"folder of the configuration": {own("etc"), "DIR/etc/config.toml: the folder DIR/etc belongs to the user 1000"},
		"state-dir":                   {own("state"), "state-dir: DIR/state: it belongs to the user 1000"},
		"state-dir that others write": {wide("state", 0o777), "state-dir: DIR/state: it can be written by any user (mode 0777); do: chmod go-w DIR/state"},
		"sticky state-dir":            {wide("state", 0o777|os.ModeSticky), "state-dir: DIR/state: it can be written by any user (mode 1777); use a folder of its own, with mode 0700"},
		"pki": {func(t *testing.T, dir string) {
			_, err := tlsconf.Auto(filepath.Join(dir, "state", "pki"), nil)
			require.NoError(t, err)
			testkit.ChownAll(t, filepath.Join(dir, "state", "pki"), 1000, 50)
		}, "automatic PKI: DIR/state/pki: it belongs to the user 1000"},
		"key of the pki": {func(t *testing.T, dir string) {
			_, err := tlsconf.Auto(filepath.Join(dir, "state", "pki"), nil)
			require.NoError(t, err)
			testkit.ChownAll(t, filepath.Join(dir, "state", "pki", "ca.key"), 1000, 50)
		}, "DIR/state/pki/ca.key: it belongs to the user 1000"},
		"config.key": {place("state/config.key", strings.Repeat("0", 64)), "the key of config-hash-get: DIR/state/config.key: it belongs to the user 1000"},
		"config.key, readable": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(dir+"/state/config.key", []byte(strings.Repeat("0", 64)), 0o644))
		}, "DIR/state/config.key: other users may read it (mode 0644); do: chmod 600 DIR/state/config.key"},
		"quic.keys":            {place("state/quic.keys", strings.Repeat("0", 64)), "DIR/state/quic.keys: it belongs to the user 1000"},
		"folder of the socket": {own("run"), "DIR/run: it belongs to the user 1000"},
		"lock of the socket":   {place("run/control.sock.lock", ""), "DIR/run/control.sock.lock: it belongs to the user 1000"},
		"users":                {place("secret/users", ""), "users file: DIR/secret/users: it belongs to the user 1000"},
		"tokens":               {place("secret/tokens", ""), "tokens file: DIR/secret/tokens: it belongs to the user 1000"},
		"certificate":          {own("tls/server.pem"), "DIR/tls/server.pem: it belongs to the user 1000"},
		"key":                  {own("tls/server.key"), "DIR/tls/server.key: it belongs to the user 1000"},
		"CA":                   {own("tls/ca.pem"), "DIR/tls/ca.pem: it belongs to the user 1000"},
		"CRL":                  {own("tls/crl.pem"), "DIR/tls/crl.pem: it belongs to the user 1000"},
		"folder of the log":    {own("log"), "log-file: DIR/log/log: the folder DIR/log belongs to the user 1000"},
		"log":                  {place("log/log", ""), "log-file: DIR/log/log: it belongs to the user 1000"},
		"folder of the audit":  {wide("audit", 0o777), "the folder DIR/audit can be written by any user (mode 0777)"},
		"head of the audit":    {place("audit/audit.jsonl.head", ""), "audit: DIR/audit/audit.jsonl.head: it belongs to the user 1000"},
		"hook":                 {own("hook/hello.sh"), "DIR/hook/hello.sh: it belongs to the user 1000"},
		"folder above":         {wide("", 0o777), "the folder DIR can be written by any user (mode 0777)"},

		"FIFO as configuration": {fifo("etc/config.toml"), "DIR/etc/config.toml: it is a FIFO and no regular file"},
		"FIFO as config.key":    {fifo("state/config.key"), "DIR/state/config.key: it is a FIFO and no regular file"},
		"FIFO as quic.keys":     {fifo("state/quic.keys"), "DIR/state/quic.keys: it is a FIFO and no regular file"},
		"FIFO as a record":      {fifo("state/pki/issued.jsonl"), "DIR/state/pki/issued.jsonl: it is a FIFO and no regular file"},
		"FIFO as CRL":           {fifo("tls/crl.pem"), "DIR/tls/crl.pem: it is a FIFO and no regular file"},
		"FIFO as lock":          {fifo("run/control.sock.lock"), "it is a special file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, config := newOwnershipDir(t)
			test.spoil(t, dir)
			p := start(t, dir, nil, "-c", config)
			require.Equal(t, 1, p.wait())
			require.Contains(t, p.Err.String()+p.Out.String(), strings.ReplaceAll(test.want, "DIR", dir))
		})
	}
	t.Run("nothing", func(t *testing.T) {
		dir, config := newOwnershipDir(t)
		p := start(t, dir, nil, "-c", config)
		p.urls(3)
		p.stop()
	})
	t.Run("trusted", func(t *testing.T) {
		dir, config := newOwnershipDir(t)
		testkit.ChownAll(t, dir, 1000, 50)
		p := start(t, dir, nil, "--trust-owner", "1000", "-c", config)
		p.urls(3)
		for _, made := range []string{"state/config.key", "state/quic.keys", "state/pki", "state/pki/ca.key", "secret/users", "audit/audit.jsonl", "log/log", "state/first.token"} {
			require.Contains(t, testkit.OwnerAndMode(t, filepath.Join(dir, made)), "1000:50 ", made)
		}
		p.stop()
	})
}

// A reload applies the same rules as the start, and keeps the configuration in force.
func TestReloadRefusesConfigurationOfAnotherUser(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	testkit.ChownAll(t, filepath.Join(dir, "config.toml"), 1000, 50)
	reply := p.command("config-reload", "")
	require.Equal(t, wire.CodeError, reply.Code)
	require.Contains(t, reply.Text, "config.toml: it belongs to the user 1000; only root is trusted")
	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	p.stop()
}

// A daemon without root's rights accepts files of root and its own: /etc/NAME as root:GROUP 0640, its state and its
// socket.
func TestUnprivilegedDaemonUsesFilesOfRoot(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	for _, name := range []string{"etc", "state", "run"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	config := writeConfig(t, filepath.Join(dir, "etc"), strings.ReplaceAll("state-dir = \"DIR/state\"\n[[listen]]\ntransport = \"unix\"\npath = \"DIR/run/control.sock\"\n", "DIR", dir))
	require.NoError(t, os.Chown(config, 0, 65534))
	require.NoError(t, os.Chmod(config, 0o640))
	for _, name := range []string{"state", "run"} {
		require.NoError(t, os.Chown(filepath.Join(dir, name), 65534, 65534))
	}
	p := start(t, dir, func(cmd *exec.Cmd) { testkit.RunUnprivileged(t, cmd) }, "-c", config)
	p.listening()
	require.NoError(t, os.Chown(config, 1000, 65534))
	require.Contains(t, p.command("config-reload", "").Text, "config.toml: it belongs to the user 1000; only root and the user 65534 (this process) are trusted")
	p.stop()
}

// config-write by root keeps owner, group and mode of the file and its backup.
func TestConfigWriteKeepsOwnerGroupAndMode(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	path := writeConfig(t, dir, oneSocket)
	require.NoError(t, os.Chown(path, 1000, 50))
	require.NoError(t, os.Chmod(path, 0o640))
	p := start(t, dir, nil, "-trust-owner", "1000", "-c", "config.toml")
	p.listening()
	reply := p.command("config-write", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, path))
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, path+".1"))
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	p.stop()
}

// The same without --trust-owner and without a daemon, for a file of root with another group.
func TestConfigWriteKeepsTheGroupOfRootsFile(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	path := filepath.Join(dir, "config.toml")
	require.NoError(t, os.Chown(path, 0, 50))
	require.NoError(t, os.Chmod(path, 0o640))
	require.Equal(t, wire.CodeSuccess, p.command("config-write", "").Code)
	require.Equal(t, "0:50 0640", testkit.OwnerAndMode(t, path))
	p.stop()
}

func TestTrustOwnerMustBeANumber(t *testing.T) {
	var out, stderr strings.Builder
	require.Equal(t, 2, run([]string{"--trust-owner", "ann"}, &out, &stderr))
	require.Contains(t, stderr.String(), `invalid value "ann" for flag -trust-owner`)
}
