package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// An invalid setting is refused with its error, and changes nothing.
func TestInvalidSettingsAreRefused(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	kept := testkit.Port(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket+fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n", kept)+
		"[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\nsecrets = { one = \"canary-1\", two = \"canary-2\" }\n")
	p.urls(2)
	state, hash := p.configState(), p.configHash()
	here := `{"transport":"unix","path":"control.sock"}`
	with := func(listener string) string { return `{"Rudderpost":{"listen":[` + here + `,` + listener + `]}}` }
	both := func(more string) string {
		return `{"Rudderpost":{"listen":[` + here + `]},` + more + `}`
	}
	for name, c := range map[string]struct {
		arguments string
		code      wire.Code
		want      string
	}{
		"nothing":          {``, wire.CodeError, "Missing mandatory 'arguments' parameter."},
		"another daemon's": {`{"Dhcp4":{}}`, wire.CodeError, "Missing mandatory 'Rudderpost' parameter."},
		"no listen":        {`{"Rudderpost":{}}`, wire.CodeError, "there is no [[listen]], so no client could reach the daemon"},
		"listen empty":     {`{"Rudderpost":{"listen":[]}}`, wire.CodeError, "there is no [[listen]], so no client could reach the daemon"},
		"listen null":      {`{"Rudderpost":{"listen":null}}`, wire.CodeError, "'Rudderpost/listen' parameter expected to be a list."},
		"a null listener":  {`{"Rudderpost":{"listen":[null]}}`, wire.CodeError, "'listen/0' cannot be set over the channel"},
		"a new listener":   {with(`{"transport":"http","pki":"auto","address":"127.0.0.1:0"}`), wire.CodeError, "'listen/1' cannot be set over the channel"},
		"another address":  {with(`{"transport":"tcp","pki":"auto","address":"` + taken.Addr().String() + `"}`), wire.CodeError, "'listen/1' cannot be set over the channel"},
		"unknown key":      {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-konns":1}}}`, wire.CodeError, "Unsupported 'Rudderpost/limits/max-konns' parameter."},
		"wrong type":       {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-conns":"many"}}}`, wire.CodeError, "'Rudderpost/limits/max-conns' parameter expected to be an integer."},
		"wrong unit":       {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-frame":"16MB"}}}`, wire.CodeError, `"16MB" is not a size such as`},
		"if-hash a number": {both(`"if-hash":7`), wire.CodeError, "'if-hash' parameter expected to be a string."},
		"if-hash null":     {both(`"if-hash":null`), wire.CodeError, "'if-hash' parameter expected to be a string."},
		"if-hash empty":    {both(`"if-hash":""`), wire.CodeError, "'if-hash' parameter is empty; give the hash that config-get returns, or leave it out"},
		"if-hash old":      {both(`"if-hash":"` + strings.Repeat("0", 64) + `"`), wire.CodeConflict, "get it again"},
		"force a string":   {both(`"force":"true"`), wire.CodeError, "'force' parameter expected to be a boolean."},
		"a guessed secret": {`{"Rudderpost":{"listen":[` + here + `],"hook":[{"name":"a","exec":["` + filepath.Join(dir, "hook-a") + `"],"secrets":{"one":"***","two":"guess"},"timeout":"30s","max-output":"1MiB"}]}}`, wire.CodeError, "'hook' cannot be set over the channel"},
		"a hook of theirs": {`{"Rudderpost":{"listen":[` + here + `],"hook":[{"name":"b","exec":["/bin/sh"]}]}}`, wire.CodeError, "'hook' cannot be set over the channel"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := p.command("config-set", c.arguments)
			require.Equal(t, c.code, reply.Code, reply.Text)
			require.Contains(t, reply.Text+fmt.Sprint(reply.Err()), c.want)
			require.Equal(t, state, p.configState())
			require.Equal(t, hash, p.configHash())
		})
	}
	waitForHooks(t, dir, 1)
	p.requireServedAt(kept)
	p.stop()
}

// requireServedAt checks that the daemon serves a client over TLS at an address.
func (p *process) requireServedAt(address string) {
	p.t.Helper()
	require.NoError(p.t, commandOver(&tcp.Transport{Address: address, Client: tlsconf.ClientFrom(filepath.Join(p.Dir, "run", "pki"), "")})())
}

// A listener that cannot be opened is refused with the reason, and nothing changes.
func TestListenerThatCannotOpenIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir, kept := testkit.ShortDir(t), testkit.Port(t)
	config := "state-dir = \"run\"\n" + oneSocket + "[auth]\ntokens-file = \"tokens\"\n" + fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n", kept)
	p := startIn(t, dir, config)
	p.urls(2)
	state := p.configState()
	for name, c := range map[string]struct{ transport, keys, address, want string }{
		"port in use":      {"tcp", "pki = \"auto\"", taken.Addr().String(), "listen 3 (tcp): listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		"port twice":       {"http", "pki = \"auto\"", kept, "listen 3: TCP address " + kept + " is already used by listen 2"},
		"not this machine": {"tcp", "pki = \"auto\"", "192.0.2.1:7443", "listen 3 (tcp): listen tcp 192.0.2.1:7443: "},
		"open to all":      {"http", "insecure = true", "0.0.0.0:7443", "is not loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			writeConfig(t, dir, config+fmt.Sprintf("[[listen]]\ntransport = %q\naddress = %q\n%s\n", c.transport, c.address, c.keys))
			reply := p.command("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code, reply.Text)
			require.Contains(t, reply.Text, c.want)
			require.Equal(t, state, p.configState())
		})
	}
	p.stop()
}

// If the file is invalid, the old configuration stays in force, and the reply has the file and the reason.
func TestInvalidFileKeepsConfigurationInForce(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	state, path := p.configState(), filepath.Join(dir, "config.toml")
	whole := func(text string, mode os.FileMode) func() {
		return func() {
			require.NoError(t, os.WriteFile(path, []byte(text), mode))
			require.NoError(t, os.Chmod(path, mode))
		}
	}
	for name, c := range map[string]struct {
		put  func()
		want string
	}{
		"gone":           {func() {}, "no such file or directory"},
		"a directory":    {func() { require.NoError(t, os.Mkdir(path, 0o700)) }, "it is a folder and no regular file"},
		"a link to none": {func() { require.NoError(t, os.Symlink("nowhere", path)) }, "no such file or directory"},
		"a link to self": {func() { require.NoError(t, os.Symlink("config.toml", path)) }, "too many levels of symbolic links"},
		"world-writable": {whole(oneSocket, 0o666), "it can be written by any user (mode 0666)"},
		"2 MiB":          {whole(oneSocket+strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 2048), 0o600), "is longer than 1048576 bytes"},
		"empty":          {whole("", 0o600), "there is no [[listen]]"},
		"half":           {whole(oneSocket[:len(oneSocket)-3], 0o600), path + ":4: "},
		"a typing error": {whole(oneSocket+"[limits]\nmax-cons = 1\n", 0o600), path + `:6: there is no key "limits.max-cons"; did you mean max-conns?`},
		"binary":         {whole("\x00\xff\x7fELF", 0o600), path + ":1: "},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(path))
			c.put()
			reply := p.command("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, "Config reload failed: configuration error using file '"+path+"': ")
			require.Contains(t, reply.Text, c.want)
			require.Equal(t, state, p.configState())
		})
	}
	require.NoError(t, os.RemoveAll(path))
	writeConfig(t, dir, oneSocket)
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	p.stop()
}

// If the folder is read-only, config-write returns an error, and the file stays complete.
func TestConfigWriteIntoReadOnlyFolderFails(t *testing.T) {
	dir := testkit.ShortDir(t)
	text := oneSocket + "# mine\n"
	path := writeConfig(t, dir, text)
	require.NoError(t, os.Chmod(path, 0o644))
	p := start(t, dir, func(cmd *exec.Cmd) { testkit.RunUnprivileged(t, cmd) }, "-c", "config.toml")
	p.listening()
	require.NoError(t, os.Chmod(dir, 0o555))
	defer os.Chmod(dir, 0o755)
	for _, arguments := range []string{"", `{"filename":"config.toml"}`, `{"filename":"` + path + `"}`} {
		reply := p.command("config-write", arguments)
		require.Equal(t, wire.CodeError, reply.Code)
		require.Contains(t, reply.Text, "permission denied")
	}
	require.Contains(t, p.command("config-write", `{"filename":"/etc/passwd"}`).Text, "the daemon writes its own file only ("+path+")")
	still, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, string(still))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.Equal(t, []string{"config.toml"}, configFiles(t, dir))

	// If the folder is writable, config-write does not take over the file of another user.
	if os.Geteuid() == 0 {
		text := p.command("config-write", "").Text
		require.Contains(t, text, "it belongs to the user 0 and the group 0, which the user 65534 cannot give to a new file")
		require.Equal(t, []string{"config.toml"}, configFiles(t, dir))
		require.NoError(t, os.Chown(path, 65534, 65534))
	}
	reply := p.command("config-write", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	backup, err := os.ReadFile(path + ".1")
	require.NoError(t, err)
	require.Equal(t, text, string(backup))
	p.stop()
}
