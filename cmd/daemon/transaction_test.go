package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The steps of a transaction.
var steps = []string{
	"before parse", "before state", "after state", "before log", "after log", "before audit", "after audit", "before credentials", "after credentials",
	"before listen", "after listen", "before metrics", "after metrics", "before hooks", "after hooks", "before swap",
	"after swap", "before close", "after close",
}

// firstStepInForce is the first step at which the new configuration is in force.
var firstStepInForce = slices.Index(steps, "after swap")

// A changeMethod is a method to replace the old configuration of a pair by the new one.
type changeMethod struct {
	name string
	file bool // it reads the file
	give func(p *process, both configPair) error
}

var changeMethods = []changeMethod{
	{"config-reload", true, func(p *process, _ configPair) error { return p.tryCommand("config-reload", "") }},
	{"config-set", false, func(p *process, both configPair) error { return p.tryCommand("config-set", both.setText) }},
	{"SIGHUP", true, func(p *process, _ configPair) error {
		before := len(p.Err.String())
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		var logged string
		testkit.Eventually(p.t, func() bool {
			select {
			case <-p.Ended:
				return true
			default:
			}
			logged = p.Err.String()[before:]
			return strings.Contains(logged, "has been read again") || strings.Contains(logged, "stays as it was") && strings.HasSuffix(logged, "\n")
		}, "SIGHUP has no effect")
		if !strings.Contains(logged, "has been read again") {
			return fmt.Errorf("%s", logged)
		}
		return nil
	}},
}

// tryCommand sends a command. The error says why there is no reply, or is that of the reply.
func (p *process) tryCommand(command, arguments string) error {
	request := wire.Request{Command: command}
	if arguments != "" {
		request.Arguments = wire.Value(arguments)
	}
	reply, err := client.Do(p.t.Context(), &unix.Transport{Path: p.listening()}, request)
	if err == nil {
		err = reply.Err()
	}
	return err
}

// observableConfig returns the effects of a configuration that a client can observe: access limits, other limits, log
// format and accepted credentials.
func (p *process) observableConfig(both configPair) string {
	p.t.Helper()
	var all []string
	id := tlsconf.ClientFrom(filepath.Join(p.Dir, "run", "pki"), "")
	reply, err := client.Do(p.t.Context(), &tcp.Transport{Address: both.keptAddr, Client: id}, wire.Request{Command: "statistic-reset-all"})
	require.NoError(p.t, err)
	all = append(all, "a write: "+reply.Code.String())
	all = append(all, "a long frame: "+fmt.Sprint(strings.Contains(p.exchange(`{"command":"version-get","arguments":"`+strings.Repeat("x", 100<<10)+`"}`), "max-frame")))
	for _, address := range []string{both.keptAddr, both.removedAddr, both.addedAddr} {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		all = append(all, fmt.Sprint(address, ": ", err == nil))
	}
	before := len(p.Err.String())
	p.command("build-report", "")
	testkit.Eventually(p.t, func() bool {
		for line := range strings.Lines(p.Err.String()[before:]) {
			if strings.Contains(line, "build-report") && strings.HasSuffix(line, "\n") {
				all = append(all, "the log: "+line[:1])
				return true
			}
		}
		return false
	}, "the log is empty")
	return strings.Join(all, "\n")
}

// waitForHooks waits until n hooks of a directory run.
func waitForHooks(t *testing.T, dir string, n int) {
	t.Helper()
	testkit.Eventually(t, func() bool { return countHooks(dir) == n }, "the number of running hooks is wrong")
}

// A transaction that fails at any step changes nothing. If the daemon is killed at a step, it starts again with the
// file, and has either the old configuration or the new one as a whole.
func TestTransactionFailureAtEachStep(t *testing.T) {
	both := newConfigPair(t)
	fail := filepath.Join(both.dir, "fail")
	begin := func(t *testing.T, file bool) *process {
		p := startIn(t, both.dir, both.old)
		if file {
			writeConfig(t, both.dir, both.new)
		}
		return p
	}
	p := begin(t, false)
	both.setText = `{"Rudderpost":` + p.configSection(func(section map[string]any) {
		section["log-level"], section["log-format"] = "debug", "json"
		listeners := section["listen"].([]any)
		listeners[1].(map[string]any)["max-access"] = "read"
		listeners[2].(map[string]any)["max-access"] = "write"
		limits := section["limits"].(map[string]any)
		limits["max-rate"], limits["max-frame"] = 5000, "64KiB"
	}) + `}`
	old, effects := p.configState(), p.observableConfig(both)
	p.stop()
	for _, by := range changeMethods {
		t.Run(by.name, func(t *testing.T) {
			p := begin(t, by.file)
			require.NoError(t, by.give(p, both))
			p.requireReachable()
			waitForHooks(t, both.dir, 1)
			renewed, renewedEffects := p.configState(), p.observableConfig(both)
			require.NotEqual(t, old, renewed)
			require.NotEqual(t, effects, renewedEffects)
			p.stop()

			t.Run("error", func(t *testing.T) {
				p := begin(t, by.file)
				defer os.Remove(fail)
				for _, step := range steps[:firstStepInForce] { // the state is unchanged, so one daemon serves all steps
					require.NoError(t, os.WriteFile(fail, []byte(step+"=error"), 0o600))
					require.ErrorContains(t, by.give(p, both), "failed on request at "+step)
					require.Equal(t, old, p.configState(), step)
					waitForHooks(t, both.dir, 1)
				}
				require.Equal(t, effects, p.observableConfig(both))
				p.requireReachable()
				require.NoError(t, os.Remove(fail))
				require.NoError(t, by.give(p, both))
				require.Equal(t, renewed, p.configState())
				require.Equal(t, renewedEffects, p.observableConfig(both))
				p.stop()
				for _, step := range steps[firstStepInForce:] {
					p := begin(t, by.file)
					require.NoError(t, os.WriteFile(fail, []byte(step+"=error"), 0o600))
					require.NoError(t, by.give(p, both), step)
					require.Equal(t, renewed, p.configState(), step)
					require.Equal(t, renewedEffects, p.observableConfig(both), step)
					waitForHooks(t, both.dir, 1)
					p.stop()
				}
			})
			for _, step := range steps {
				t.Run(step+" kill", func(t *testing.T) {
					p := begin(t, by.file)
					require.NoError(t, os.WriteFile(fail, []byte(step+"=kill"), 0o600))
					require.Error(t, by.give(p, both))
					p.wait()
					waitForHooks(t, both.dir, 0)
					require.NoError(t, os.Remove(fail))
					again := start(t, both.dir, nil, "-c", "config.toml")
					again.requireReachable()
					if by.file {
						require.Equal(t, renewed, again.configState())
					} else { // the unsaved configuration is lost
						require.Equal(t, old, again.configState())
					}
					again.stop()
				})
			}
			waitForHooks(t, both.dir, 0)
		})
	}
}

// failAtStep is the failpoint of daemons under test. The file "fail" in the daemon's directory names a step and an
// action.
func failAtStep(step string) error {
	text, err := os.ReadFile("fail")
	want, how, _ := strings.Cut(string(text), "=")
	if err != nil || step != want {
		return nil
	}
	switch how {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "wait": // for the test that opens the pipe
		_, err := os.ReadFile("go")
		return err
	}
	return errors.New("failed on request at " + step)
}

// writeHook writes a hook that adds one command without a reply.
func writeHook(t *testing.T, dir, command string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, command), []byte("#!/bin/sh\nread -r hello\n"+
		`echo '{"introduce":{"commands":[{"name":"`+command+`","summary":"-","access":"read"}]}}'`+"\nwhile read -r line; do :; done\n"), 0o755))
}

// A configPair is a daemon's directory with two configurations that differ in every setting that a reload may change.
type configPair struct {
	dir                              string
	keptAddr, removedAddr, addedAddr string // addresses
	old, new                         string
	setText                          string // the old configuration with the changes that config-set may make
}

func newConfigPair(t *testing.T) configPair {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "old-hook")
	writeHook(t, dir, "new-hook")
	kept, gone, added := testkit.Port(t), testkit.Port(t), testkit.Port(t)
	common := fmt.Sprintf("state-dir = \"run\"\n[[listen]]\ntransport = \"unix\"\npath = \"s\"\n[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n", kept)
	return configPair{dir: dir, keptAddr: kept, removedAddr: gone, addedAddr: added,
		old: common + fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n[[hook]]\nname = \"old\"\nexec = [\"old-hook\"]\n", gone),
		new: "log-level = \"debug\"\nlog-format = \"json\"\n" + common + "max-access = \"read\"\n" +
			fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\n[[hook]]\nname = \"new\"\nexec = [\"new-hook\"]\nsecrets = { key = \"canary-77\" }\n", added) +
			"[limits]\nmax-rate = 5000\nmax-frame = \"64KiB\"\n[[role]]\nname = \"x\"\nallow = [\"read\"]\n[[principal]]\nsubject = \"uid:4711\"\nrole = \"x\"\n[auth]\nusers-file = \"users\"\n[audit]\nfile = \"audit.jsonl\"\narguments = \"clear\"\n",
	}
}

// configState returns everything that a daemon reports about its configuration.
func (p *process) configState() string {
	p.t.Helper()
	var all []string
	for _, command := range []string{"config-get", "list-commands", "hook-list", "log-level-get", "status-get"} {
		reply := p.command(command, "")
		require.Equal(p.t, wire.CodeSuccess, reply.Code, reply.Text)
		arguments, _ := reply.Arguments.(wire.Value)
		var v any
		require.NoError(p.t, json.Unmarshal(arguments, &v))
		switch v := v.(type) {
		case map[string]any:
			delete(v, "pid")
			delete(v, "uptime")
			delete(v, "reload")
		case []any:
			for _, entry := range v {
				if hook, ok := entry.(map[string]any); ok {
					delete(hook, "pid")
					delete(hook, "since")
				}
			}
		}
		text, err := json.Marshal(v)
		require.NoError(p.t, err)
		all = append(all, string(text))
	}
	return strings.Join(all, "\n")
}

// requireReachable checks that the daemon serves at each of its addresses.
func (p *process) requireReachable() {
	p.t.Helper()
	reply := p.command("status-get", "")
	arguments, _ := reply.Arguments.(wire.Value)
	var status struct{ Sockets struct{ Open []string } }
	require.NoError(p.t, json.Unmarshal(arguments, &status))
	require.Len(p.t, status.Sockets.Open, 3)
	for _, url := range status.Sockets.Open {
		if address, ok := strings.CutPrefix(url, "tls://"); ok {
			id := tlsconf.ClientFrom(filepath.Join(p.Dir, "run", "pki"), "")
			reply, err := client.Do(p.t.Context(), &tcp.Transport{Address: address, Client: id}, wire.Request{Command: "whoami"})
			require.NoError(p.t, err)
			require.Equal(p.t, wire.CodeSuccess, reply.Code)
		} else if address, ok := strings.CutPrefix(url, "https://"); ok {
			conn, err := net.Dial("tcp", address)
			require.NoError(p.t, err)
			_ = conn.Close()
		}
	}
}

// waitForNoHooks waits until no hook of a directory runs.
func waitForNoHooks(t *testing.T, dir string) {
	t.Helper()
	waitForHooks(t, dir, 0)
}

// countHooks counts the running hooks of a directory.
func countHooks(dir string) (n int) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		cwd, _ := os.Readlink(filepath.Join(path, "cwd"))
		exe, _ := os.Readlink(filepath.Join(path, "exe"))
		if cwd == dir && strings.HasSuffix(exe, "sh") {
			n++
		}
	}
	return n
}

// config-write leaves the old or the new file as a whole if it fails or is killed at any step. The daemon starts with
// either.
func TestConfigWriteFailureLeavesWholeFile(t *testing.T) {
	for _, step := range []string{"before backup", "after backup", "write", "sync", "rename", "sync folder", "after write"} {
		for _, how := range []string{"error", "kill"} {
			t.Run(step+" "+how, func(t *testing.T) {
				both := newConfigPair(t)
				path := writeConfig(t, both.dir, "# mine\n"+both.new)
				p := start(t, both.dir, nil, "-c", "config.toml")
				state := p.configState()
				fail := filepath.Join(both.dir, "fail")
				require.NoError(t, os.WriteFile(fail, []byte(step+"="+how), 0o600))
				_, err := client.Do(t.Context(), &unix.Transport{Path: p.listening()}, wire.Request{Command: "config-write"})
				require.Equal(t, how == "kill", err != nil)
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				if step != "sync folder" && step != "after write" {
					require.Equal(t, "# mine\n"+both.new, string(text))
				}
				info, err := os.Stat(path)
				require.NoError(t, err)
				require.EqualValues(t, 0o600, info.Mode().Perm())
				require.NoError(t, os.Remove(fail))
				if how == "kill" {
					p.wait()
				} else {
					p.stop()
				}
				again := start(t, both.dir, nil, "-c", "config.toml")
				require.Equal(t, state, again.configState(), "the file is not the configuration in force")
				written := again.command("config-write", "")
				require.Equal(t, wire.CodeSuccess, written.Code, written.Text)
				again.stop()
				third := start(t, both.dir, nil, "-c", "config.toml")
				require.Equal(t, state, third.configState())
				third.stop()
				backup, err := os.ReadFile(path + ".1")
				require.NoError(t, err)
				require.Equal(t, "# mine\n"+both.new, string(backup))
			})
		}
	}
}

// The client gets the reply through the listener that its transaction removes.
func TestTransactionThatRemovesCallersListenerIsAnswered(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket+"[[listen]]\ntransport = \"unix\"\npath = \"b\"\n")
	p := start(t, dir, nil, "-c", "config.toml")
	p.urls(2)
	b := &unix.Transport{Path: filepath.Join(dir, "b")}
	give := func(at transport.Dialer, arguments string) wire.Reply {
		reply, err := client.Do(t.Context(), at, wire.Request{Command: "config-set", Arguments: wire.Value(arguments)})
		require.NoError(t, err)
		return reply
	}
	session, err := client.Dial(t.Context(), b)
	require.NoError(t, err)
	_, err = session.Do(t.Context(), wire.Request{Command: "whoami"})
	require.NoError(t, err)

	only := `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock"}]}}`
	reply := give(b, only)
	require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
	require.NoFileExists(t, filepath.Join(dir, "b"))
	_, err = client.Do(t.Context(), b, wire.Request{Command: "whoami"})
	require.Error(t, err)
	_, err = session.Do(t.Context(), wire.Request{Command: "whoami"})
	require.Error(t, err, "its conns are drained")
	require.NoError(t, session.Close())

	// The transaction is refused unless the client forces it.
	address := testkit.Port(t)
	alone := fmt.Sprintf(`{"listen":[{"transport":"tcp","address":%q,"insecure":true}]}`, address)
	a := &unix.Transport{Path: filepath.Join(dir, "control.sock")}
	require.Equal(t, wire.CodeError, give(a, `{"Rudderpost":{"listen":[]}}`).Code)
	require.Equal(t, wire.CodeError, give(a, `{"Rudderpost":`+alone+`}`).Code, "no client could authenticate there")
	low := `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock","max-access":"write"}]}`
	require.Equal(t, wire.CodeConflict, give(a, low+"}").Code)
	require.Equal(t, wire.CodeSuccess, give(a, low+`,"force":true}`).Code)
	require.Equal(t, wire.CodeForbidden, give(a, only).Code, "forced by the client")
	p.stop()
}
