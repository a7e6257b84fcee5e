package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// section is what config-get tells, as config-set takes it. change may change it before that.
func (p *process) section(change func(map[string]any)) string {
	p.t.Helper()
	arguments, _ := p.give("config-get", "").Arguments.(wire.Value)
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

// set gives config-set.
func (p *process) set(change func(map[string]any)) wire.Reply {
	p.t.Helper()
	return p.give("config-set", `{"Rudderpost":`+p.section(change)+`}`)
}

// hash is that of the configuration in force.
func (p *process) hash() string {
	p.t.Helper()
	var got struct {
		Hash string `json:"hash"`
	}
	require.NoError(p.t, p.give("config-hash-get", "").Decode(&got))
	require.Regexp(p.t, "^[0-9A-F]{64}$", got.Hash)
	return got.Hash
}

func setLevel(level string) func(map[string]any) {
	return func(section map[string]any) { section["log-level"] = level }
}

// A listener that was tried and not put in force holds its port no longer.
func TestFailedListenerLetsGoOfItsPort(t *testing.T) {
	dir := shortDir(t)
	p := startIn(t, dir, oneSocket)
	address := freePort(t)
	broken := fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\naddress = %q\ncert = \"none\"\nkey = \"none\"\nclient-ca = \"none\"\n", address)
	state := p.state()
	writeConfig(t, dir, oneSocket+broken)
	reply := p.give("config-reload", "")
	require.Equal(t, wire.CodeError, reply.Code)
	require.Contains(t, reply.Text, "listen 2 (tcp)")
	require.Contains(t, reply.Text, "none: no such file")
	require.Equal(t, state, p.state())
	_, err := net.Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	p.stop()
}

// Changes that fail when their listeners are ready take no client from the listener that is in force: both
// have the same socket.
func TestFailedChangesTakeNoClients(t *testing.T) {
	dir := shortDir(t)
	address := freePort(t)
	config := func(hosts string) string {
		return "state-dir = \"run\"\n" + oneSocket + fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\nallow-hosts = [%q]\n", address, hosts)
	}
	p := startIn(t, dir, config("a.example"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fail"), []byte("after hooks=error"), 0o600))
	ask := posting(t, address, tlsconf.ClientFrom(filepath.Join(dir, "run", "pki"), ""))
	stop := underLoad(t, 3, ask)
	writeConfig(t, dir, config("b.example"))
	for range 300 {
		require.Equal(t, wire.CodeError, p.give("config-reload", "").Code)
		if t.Failed() {
			break
		}
	}
	stop()
	p.stop()
}

// A listener at any port stays at the one that it has got.
func TestAnyPortStays(t *testing.T) {
	dir := shortDir(t)
	config := "state-dir = \"run\"\n" + oneSocket + strings.Repeat("[[listen]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:0\"\npki = \"auto\"\n", 2)
	p := startIn(t, dir, config)
	urls := p.urls(3)
	open := func() []string {
		var status struct {
			Sockets struct {
				Open []string `json:"open"`
			} `json:"sockets"`
		}
		require.NoError(t, p.give("status-get", "").Decode(&status))
		return status.Sockets.Open
	}
	require.Equal(t, urls, open())
	writeConfig(t, dir, config+"[limits]\nmax-rate = 5000\n")
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.Equal(t, urls, open())
	reply := p.set(setLevel("warn"))
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, urls, open())
	p.stop()
}

// A listener is the same one whichever way its path is written.
func TestPathWrittenDifferently(t *testing.T) {
	dir := shortDir(t)
	p := startIn(t, dir, oneSocket)
	session, err := client.Dial(t.Context(), &unix.Transport{Path: p.listening()})
	require.NoError(t, err)
	defer session.Close()
	writeConfig(t, dir, strings.Replace(oneSocket, "control.sock", filepath.Join(dir, "control.sock"), 1))
	reply := p.give("config-reload", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	_, err = session.Do(t.Context(), wire.Request{Command: "whoami"})
	require.NoError(t, err)
	require.Equal(t, wire.CodeSuccess, p.give("whoami", "").Code)
	p.stop()
}

// Numbers come back from the channel as they went out: a hook that nobody has touched is neither refused nor
// started again.
func TestLargeNumbersSurviveTheChannel(t *testing.T) {
	dir := shortDir(t)
	writeHook(t, dir, "hook-a")
	p := startIn(t, dir, oneSocket+"[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\nparameters = { big = 9007199254740993, half = 0.5, deep = [{ id = 9223372036854775807 }] }\n")
	pid := func() string {
		arguments, _ := p.give("hook-list", "").Arguments.(wire.Value)
		_, rest, _ := strings.Cut(string(arguments), `"pid":`)
		pid, _, _ := strings.Cut(rest, ",")
		require.NotEmpty(t, pid)
		return pid
	}
	before, hash := pid(), p.hash()
	reply := p.set(setLevel("warn"))
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	reply = p.give("config-set", `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}]}}`)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.Equal(t, hash, p.hash())
	require.Equal(t, before, pid())
	require.Equal(t, wire.CodeSuccess, p.give("config-write", "").Code)
	text, err := os.ReadFile(filepath.Join(dir, "config.toml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "9007199254740993")
	require.Contains(t, string(text), "9223372036854775807")
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.Equal(t, hash, p.hash())
	require.Equal(t, before, pid())
	p.stop()
}

// A pipe where the file was keeps nobody waiting for somebody who writes into it.
func TestPipeForAFile(t *testing.T) {
	dir := shortDir(t)
	p := startIn(t, dir, oneSocket)
	state, path := p.state(), filepath.Join(dir, "config.toml")
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	for _, command := range []string{"config-reload", "config-write"} {
		reply := p.give(command, "")
		require.Equal(t, wire.CodeError, reply.Code)
		require.Contains(t, reply.Text, "is no regular file")
	}
	require.Equal(t, state, p.state())
	p.stop()
}

// What config-write would make of the file must be what the daemon reads.
func TestWriteOfWhatCannotBeRead(t *testing.T) {
	dir := shortDir(t)
	var text strings.Builder
	text.WriteString("listen=[{transport=\"unix\",path=\"control.sock\"}]\nprincipal=[")
	for uid := range 20000 {
		fmt.Fprintf(&text, `{subject="uid:%d",role="monitor"},`, 100000+uid)
	}
	text.WriteString("]\n")
	p := startIn(t, dir, text.String())
	reply := p.give("config-write", "")
	require.Equal(t, wire.CodeError, reply.Code, reply.Text)
	require.Contains(t, reply.Text, "1048576 bytes")
	still, err := os.ReadFile(filepath.Join(dir, "config.toml"))
	require.NoError(t, err)
	require.Equal(t, text.String(), string(still))
	require.NoFileExists(t, filepath.Join(dir, "config.toml.1"))
	p.stop()
}

// A write that has failed leaves no backup of what is still there: another one would change with it.
func TestFailedWriteLeavesNoBackup(t *testing.T) {
	for _, step := range []string{"after backup", "write", "sync", "rename"} {
		t.Run(step, func(t *testing.T) {
			dir := shortDir(t)
			p := startIn(t, dir, oneSocket)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "fail"), []byte(step+"=error"), 0o600))
			require.Equal(t, wire.CodeError, p.give("config-write", "").Code)
			require.NoError(t, os.Remove(filepath.Join(dir, "fail")))
			require.Equal(t, []string{"config.toml"}, configFiles(t, dir))
			require.Equal(t, wire.CodeSuccess, p.give("config-write", "").Code)
			require.Equal(t, []string{"config.toml", "config.toml.1"}, configFiles(t, dir))
			p.stop()
		})
	}
}

// configFiles are the configuration in a folder, its backups, and what is left of others.
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

// The socket's mode is the new one when the configuration is, and no sooner.
func TestModeChangesWithTheRest(t *testing.T) {
	dir := shortDir(t)
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
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.EqualValues(t, 0o666, mode())
	p.stop()
}

// A first token that nobody is told of is not left lying about.
func TestFailedChangeMintsNoToken(t *testing.T) {
	dir := shortDir(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket)
	fail := filepath.Join(dir, "fail")
	require.NoError(t, os.WriteFile(fail, []byte("after hooks=error"), 0o600))
	writeConfig(t, dir, "state-dir = \"run\"\n"+oneSocket+"[auth]\ntokens-file = \"tokens\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n")
	require.Equal(t, wire.CodeError, p.give("config-reload", "").Code)
	require.NoFileExists(t, filepath.Join(dir, "run", "first.token"))
	require.NoFileExists(t, filepath.Join(dir, "tokens"))
	require.NotContains(t, p.out.String(), "metrics for Prometheus", "they were not to be had for long")
	require.NoError(t, os.Remove(fail))
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	require.FileExists(t, filepath.Join(dir, "run", "first.token"))
	eventually(t, func() bool { return strings.Contains(p.out.String(), "a first token") }, "nobody is told")
	require.Contains(t, p.out.String(), "metrics for Prometheus")
	p.stop()
}

// What a clumsy administrator asks for is refused, says what is wrong, and changes nothing.
func TestClumsySettings(t *testing.T) {
	dir := shortDir(t)
	writeHook(t, dir, "hook-a")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	kept := freePort(t)
	p := startIn(t, dir, "state-dir = \"run\"\n"+oneSocket+fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n", kept)+
		"[[hook]]\nname = \"a\"\nexec = [\"hook-a\"]\nsecrets = { one = \"canary-1\", two = \"canary-2\" }\n")
	p.urls(2)
	state, hash := p.state(), p.hash()
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
		"no listen":        {`{"Rudderpost":{}}`, wire.CodeError, "there is no [[listen]], so nobody could reach the daemon"},
		"listen empty":     {`{"Rudderpost":{"listen":[]}}`, wire.CodeError, "there is no [[listen]], so nobody could reach the daemon"},
		"listen null":      {`{"Rudderpost":{"listen":null}}`, wire.CodeError, "'Rudderpost/listen' parameter expected to be a list."},
		"a null listener":  {`{"Rudderpost":{"listen":[null]}}`, wire.CodeForbidden, "'listen/0' cannot be set over the channel"},
		"port in use":      {with(`{"transport":"tcp","pki":"auto","address":"` + taken.Addr().String() + `"}`), wire.CodeError, "listen 2 (tcp): listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		"port twice":       {with(`{"transport":"tcp","pki":"auto","address":"` + kept + `"},{"transport":"http","pki":"auto","address":"` + kept + `"}`), wire.CodeError, "listen 3: TCP address " + kept + " is that of listen 2"},
		"not this machine": {with(`{"transport":"tcp","pki":"auto","address":"192.0.2.1:7443"}`), wire.CodeError, "listen 2 (tcp): listen tcp 192.0.2.1:7443: "},
		"open to all":      {with(`{"transport":"http","insecure":true,"address":"0.0.0.0:7443"}`), wire.CodeError, "is not loopback"},
		"unknown key":      {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-konns":1}}}`, wire.CodeError, "Unsupported 'Rudderpost/limits/max-konns' parameter."},
		"wrong type":       {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-conns":"many"}}}`, wire.CodeError, "'Rudderpost/limits/max-conns' parameter expected to be an integer."},
		"wrong unit":       {`{"Rudderpost":{"listen":[` + here + `],"limits":{"max-frame":"16MB"}}}`, wire.CodeError, `"16MB" is no size such as`},
		"if-hash a number": {both(`"if-hash":7`), wire.CodeError, "'if-hash' parameter expected to be a string."},
		"if-hash null":     {both(`"if-hash":null`), wire.CodeError, "'if-hash' parameter expected to be a string."},
		"if-hash empty":    {both(`"if-hash":""`), wire.CodeError, "'if-hash' parameter expected to be a hash, and not empty."},
		"if-hash old":      {both(`"if-hash":"` + strings.Repeat("0", 64) + `"`), wire.CodeConflict, "get it again"},
		"force a string":   {both(`"force":"true"`), wire.CodeError, "'force' parameter expected to be a boolean."},
		"a guessed secret": {`{"Rudderpost":{"listen":[` + here + `],"hook":[{"name":"a","exec":["` + filepath.Join(dir, "hook-a") + `"],"secrets":{"one":"***","two":"guess"},"timeout":"30s","max-output":"1MiB"}]}}`, wire.CodeForbidden, "'hook' cannot be set over the channel"},
		"a hook of theirs": {`{"Rudderpost":{"listen":[` + here + `],"hook":[{"name":"b","exec":["/bin/sh"]}]}}`, wire.CodeForbidden, "'hook' cannot be set over the channel"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := p.give("config-set", c.arguments)
			require.Equal(t, c.code, reply.Code, reply.Text)
			require.Contains(t, reply.Text+fmt.Sprint(reply.Err()), c.want)
			require.Equal(t, state, p.state())
			require.Equal(t, hash, p.hash())
		})
	}
	hooksIn(t, dir, 1)
	p.reachableAt(kept)
	p.stop()
}

// reachableAt checks that a client is served over TLS at an address.
func (p *process) reachableAt(address string) {
	p.t.Helper()
	require.NoError(p.t, giving(&tcp.Transport{Address: address, Client: tlsconf.ClientFrom(filepath.Join(p.Dir, "run", "pki"), "")})())
}

// Whatever has become of the file, what is in force stays in force, and the reply names the file and says why.
func TestClumsyFiles(t *testing.T) {
	dir := shortDir(t)
	p := startIn(t, dir, oneSocket)
	state, path := p.state(), filepath.Join(dir, "config.toml")
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
		"a directory":    {func() { require.NoError(t, os.Mkdir(path, 0o700)) }, "is no regular file"},
		"a link to none": {func() { require.NoError(t, os.Symlink("nowhere", path)) }, "no such file or directory"},
		"a link to self": {func() { require.NoError(t, os.Symlink("config.toml", path)) }, "too many levels of symbolic links"},
		"everybody's":    {whole(oneSocket, 0o666), "everybody can write it"},
		"2 MiB":          {whole(oneSocket+strings.Repeat("# "+strings.Repeat("x", 1021)+"\n", 2048), 0o600), "is longer than 1048576 bytes"},
		"empty":          {whole("", 0o600), "there is no [[listen]]"},
		"half":           {whole(oneSocket[:len(oneSocket)-3], 0o600), path + ":4: "},
		"a typing error": {whole(oneSocket+"[limits]\nmax-cons = 1\n", 0o600), path + `:6: there is no key "limits.max-cons"; did you mean max-conns?`},
		"binary":         {whole("\x00\xff\x7fELF", 0o600), path + ":1: "},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(path))
			c.put()
			reply := p.give("config-reload", "")
			require.Equal(t, wire.CodeError, reply.Code)
			require.Contains(t, reply.Text, "Config reload failed: configuration error using file '"+path+"': ")
			require.Contains(t, reply.Text, c.want)
			require.Equal(t, state, p.state())
		})
	}
	require.NoError(t, os.RemoveAll(path))
	writeConfig(t, dir, oneSocket)
	require.Equal(t, wire.CodeSuccess, p.give("config-reload", "").Code)
	p.stop()
}

// Where the folder cannot be written, config-write says so, and the file stays whole.
func TestWriteIntoAFolderThatIsReadOnly(t *testing.T) {
	dir := shortDir(t)
	text := oneSocket + "# mine\n"
	path := writeConfig(t, dir, text)
	require.NoError(t, os.Chmod(path, 0o644))
	p := start(t, dir, func(cmd *exec.Cmd) { asNobody(t, cmd) }, "-c", "config.toml")
	p.listening()
	require.NoError(t, os.Chmod(dir, 0o555))
	defer os.Chmod(dir, 0o755)
	for _, arguments := range []string{"", `{"filename":"config.toml"}`, `{"filename":"` + path + `"}`} {
		reply := p.give("config-write", arguments)
		require.Equal(t, wire.CodeError, reply.Code)
		require.Contains(t, reply.Text, "permission denied")
	}
	require.Contains(t, p.give("config-write", `{"filename":"/etc/passwd"}`).Text, "the daemon writes its own file only ("+path+")")
	still, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, string(still))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.Equal(t, []string{"config.toml"}, configFiles(t, dir))

	// And where it can, it is of no matter whose the file was.
	reply := p.give("config-write", "")
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	backup, err := os.ReadFile(path + ".1")
	require.NoError(t, err)
	require.Equal(t, text, string(backup))
	p.stop()
}
