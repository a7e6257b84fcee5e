package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// configSection returns the arguments of config-get as input for config-set. change may modify them.
func (p *process) configSection(change func(map[string]any)) string {
	p.t.Helper()
	arguments, _ := p.command("config-get", "").Arguments.(wire.Value)
	var shown struct{ Rudderpost json.RawMessage }
	require.NoError(p.t, json.Unmarshal(arguments, &shown))
	d := json.NewDecoder(strings.NewReader(string(shown.Rudderpost)))
	d.UseNumber()
	var section map[string]any
	require.NoError(p.t, d.Decode(&section))
	if change != nil {
		change(section)
	}
	text, err := json.Marshal(section)
	require.NoError(p.t, err)
	return string(text)
}

// setConfig sends config-set.
func (p *process) setConfig(change func(map[string]any)) wire.Reply {
	p.t.Helper()
	return p.command("config-set", `{"Rudderpost":`+p.configSection(change)+`}`)
}

// configHash returns the hash of the configuration in force.
func (p *process) configHash() string {
	p.t.Helper()
	var got struct {
		Hash string `json:"hash"`
	}
	require.NoError(p.t, p.command("config-hash-get", "").Decode(&got))
	require.Regexp(p.t, "^[0-9A-F]{64}$", got.Hash)
	return got.Hash
}

func setLevel(level string) func(map[string]any) {
	return func(section map[string]any) { section["log-level"] = level }
}

// A failed transaction closes its new listener, so that the port is free.
func TestFailedTransactionReleasesItsPort(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	address := testkit.Port(t)
	broken := fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\naddress = %q\ncert = \"none\"\nkey = \"none\"\nclient-ca = \"none\"\n", address)
	state := p.configState()
	writeConfig(t, dir, oneSocket+broken)
	reply := p.command("config-reload", "")
	require.Equal(t, wire.CodeError, reply.Code)
	require.Contains(t, reply.Text, "listen 2 (tcp)")
	require.Contains(t, reply.Text, "none: no such file")
	require.Equal(t, state, p.configState())
	_, err := net.Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	p.stop()
}

// A failed transaction accepts no client, although its new listener shares the socket of the listener in force.
func TestFailedTransactionAcceptsNoClient(t *testing.T) {
	dir := testkit.ShortDir(t)
	address := testkit.Port(t)
	config := func(hosts string) string {
		return "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\nallow-hosts = [%q]\n", address, hosts)
	}
	p := startIn(t, dir, config("a.example"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fail"), []byte("after hooks=error"), 0o600))
	ask := postOver(t, address, tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), ""))
	stop := requestUnderLoad(t, 3, ask)
	writeConfig(t, dir, config("b.example"))
	for range 300 {
		require.Equal(t, wire.CodeError, p.command("config-reload", "").Code)
		if t.Failed() {
			break
		}
	}
	stop()
	p.stop()
}

// A listener stays open if only the spelling of its path changes.
func TestSameSocketPathInOtherSpellingKeepsListener(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	session, err := client.Dial(t.Context(), &unix.Transport{Path: p.listening()})
	require.NoError(t, err)
	defer session.Close()
	writeConfig(t, dir, strings.Replace(oneSocket, "control.sock", filepath.Join(dir, "control.sock"), 1))
	reply := p.command("config-reload", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	_, err = session.Do(t.Context(), wire.Request{Command: "whoami"})
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, p.command("whoami", "").Code)
	p.stop()
}

// config-get and config-set keep large numbers exactly: an unchanged hook is neither refused nor restarted.
func TestLargeNumbersSurviveTheChannel(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "hook-a")
	p := startIn(t, dir, oneSocket+"[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\nparameters = { big = 9007199254740993, half = 0.5, deep = [{ id = 9223372036854775807 }] }\n")
	pid := func() string {
		arguments, _ := p.command("hook-list", "").Arguments.(wire.Value)
		_, rest, _ := strings.Cut(string(arguments), `"pid":`)
		pid, _, _ := strings.Cut(rest, ",")
		require.NotEmpty(t, pid)
		return pid
	}
	before, hash := pid(), p.configHash()
	reply := p.setConfig(setLevel("warn"))
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	reply = p.command("config-set", `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}]}}`)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, hash, p.configHash())
	require.Equal(t, before, pid())
	require.Equal(t, wire.CodeSuccess, p.command("config-write", "").Code)
	text, err := os.ReadFile(filepath.Join(dir, "config.toml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "9007199254740993")
	require.Contains(t, string(text), "9223372036854775807")
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, hash, p.configHash())
	require.Equal(t, before, pid())
	p.stop()
}

// A FIFO in place of a file does not block the daemon.
func TestFIFOInPlaceOfFileDoesNotBlock(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	state, path := p.configState(), filepath.Join(dir, "config.toml")
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	for _, command := range []string{"config-reload", "config-write"} {
		reply := p.command(command, "")
		require.Equal(t, wire.CodeError, reply.Code)
		require.Contains(t, reply.Text, "it is a FIFO and no regular file")
	}
	require.Equal(t, state, p.configState())
	p.stop()
}

// config-write refuses to write a file that the daemon could not read back.
func TestConfigWriteRefusesFileItCannotReadBack(t *testing.T) {
	dir := testkit.ShortDir(t)
	var text strings.Builder
	text.WriteString("listen=[{transport=\"unix\",path=\"control.sock\"}]\nprincipal=[")
	for uid := range 20000 {
		fmt.Fprintf(&text, `{subject="uid:%d",role="monitor"},`, 100000+uid)
	}
	text.WriteString("]\n")
	p := startIn(t, dir, text.String())
	reply := p.command("config-write", "")
	require.Equal(t, wire.CodeError, reply.Code, reply.Text)
	require.Contains(t, reply.Text, "1048576 bytes")
	still, err := os.ReadFile(filepath.Join(dir, "config.toml"))
	require.NoError(t, err)
	require.Equal(t, text.String(), string(still))
	require.NoFileExists(t, filepath.Join(dir, "config.toml.1"))
	p.stop()
}

// A failed write removes its backup, which is a hard link to the file that is still in use.
func TestFailedConfigWriteLeavesNoBackup(t *testing.T) {
	for _, step := range []string{"after backup", "write", "sync", "rename"} {
		t.Run(step, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p := startIn(t, dir, oneSocket)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "fail"), []byte(step+"=error"), 0o600))
			require.Equal(t, wire.CodeError, p.command("config-write", "").Code)
			require.NoError(t, os.Remove(filepath.Join(dir, "fail")))
			require.Equal(t, []string{"config.toml"}, configFiles(t, dir))
			require.Equal(t, wire.CodeSuccess, p.command("config-write", "").Code)
			require.Equal(t, []string{"config.toml", "config.toml.1"}, configFiles(t, dir))
			p.stop()
		})
	}
}

// configFiles returns the configuration, its backups and the temporary files in a directory.
func configFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if strings.Contains(entry.Name(), "config.toml") {
			names = append(names, entry.Name())
		}
	}
	return names
}

// The mode of a socket changes at the commit, and not before.
func TestSocketModeChangesAtCommit(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	writeConfig(t, dir, oneSocket+"mode = \"0666\"\n")
	fail := filepath.Join(dir, "fail")
	path := p.listening()
	mode := func() os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.NoError(t, os.WriteFile(fail, []byte("before swap=kill"), 0o600))
	_, err := client.Do(t.Context(), &unix.Transport{Path: path}, wire.Request{Command: "config-reload"})
	require.Error(t, err)
	p.wait()
	require.EqualValues(t, 0o600, mode())
	require.NoError(t, os.Remove(fail))

	writeConfig(t, dir, oneSocket)
	p = start(t, dir, nil, "-c", "config.toml")
	p.listening()
	writeConfig(t, dir, oneSocket+"mode = \"0666\"\n")
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.EqualValues(t, 0o666, mode())
	p.stop()
}

// A failed transaction leaves no bootstrap token behind.
func TestFailedTransactionLeavesNoBootstrapToken(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket)
	fail := filepath.Join(dir, "fail")
	require.NoError(t, os.WriteFile(fail, []byte("after hooks=error"), 0o600))
	writeConfig(t, dir, "state-dir = \"run\"\n"+oneSocket+"[auth]\ntokens-file = \"tokens\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n")
	require.Equal(t, wire.CodeError, p.command("config-reload", "").Code)
	require.NoFileExists(t, filepath.Join(dir, "run", "first.token"))
	require.NoFileExists(t, filepath.Join(dir, "tokens"))
	require.NotContains(t, p.Out.String(), "metrics for Prometheus", "they were not to be had for long")
	require.NoError(t, os.Remove(fail))

	// The same holds if the token file cannot be written, or if the transaction fails in the same step.
	for _, inTheWay := range []string{"first.token", "pki"} {
		obstacle := filepath.Join(dir, "run", inTheWay, "thing")
		require.NoError(t, os.MkdirAll(obstacle, 0o700))
		if inTheWay == "pki" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "run", "pki", "ca.pem"), []byte("nonsense"), 0o600))
		}
		config := "state-dir = \"run\"\n" + oneSocket + "[[listen]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:0\"\npki = \"auto\"\n[auth]\ntokens-file = \"tokens\"\n"
		before, err := os.ReadFile(filepath.Join(dir, "config.toml"))
		require.NoError(t, err)
		writeConfig(t, dir, config)
		reply := p.command("config-reload", "")
		require.Equal(t, wire.CodeError, reply.Code, reply.Text)
		require.NoFileExists(t, filepath.Join(dir, "tokens"), reply.Text)
		require.NoFileExists(t, filepath.Join(dir, "run", "first.token"), reply.Text)
		writeConfig(t, dir, string(before))
		require.NoError(t, os.RemoveAll(filepath.Dir(obstacle)))
	}
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.FileExists(t, filepath.Join(dir, "run", "first.token"))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Out.String(), "a bootstrap token") }, "the daemon does not announce the token")
	require.Contains(t, p.Out.String(), "metrics for Prometheus")
	p.stop()
}
