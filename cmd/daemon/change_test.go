package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// failAsTold is the failpoint of daemons under test: what the file "fail" in their folder says, a step and
// how it is to end.
func failAsTold(step string) error {
	text, err := os.ReadFile("fail")
	want, how, _ := strings.Cut(string(text), "=")
	if err != nil || step != want {
		return nil
	}
	switch how {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "wait": // for somebody who opens the pipe
		_, err := os.ReadFile("go")
		return err
	}
	return errors.New("it was told to fail " + step)
}

// writeHook writes a hook that adds one command, which it never answers.
func writeHook(t *testing.T, dir, command string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, command), []byte("#!/bin/sh\nread -r hello\n"+
		`echo '{"introduce":{"commands":[{"name":"`+command+`","summary":"-","access":"read"}]}}'`+"\nwhile read -r line; do :; done\n"), 0o755))
}

// A pair is a daemon's folder with two configurations that differ in everything that may change.
type pair struct {
	dir               string
	kept, gone, added string // addresses
	old, new          string
	onTheWire         string // what config-set may make of it
}

func newPair(t *testing.T) pair {
	dir := testkit.ShortDir(t)
	writeHook(t, dir, "old-hook")
	writeHook(t, dir, "new-hook")
	kept, gone, added := testkit.Port(t), testkit.Port(t), testkit.Port(t)
	common := fmt.Sprintf("state-dir = \"run\"\n[[listen]]\ntransport = \"unix\"\npath = \"s\"\n[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n", kept)
	return pair{dir: dir, kept: kept, gone: gone, added: added,
		old: common + fmt.Sprintf("[[listen]]\ntransport = \"tcp\"\npki = \"auto\"\naddress = %q\n[[hook]]\nname = \"old\"\nexec = [\"old-hook\"]\n", gone),
		new: "log-level = \"debug\"\nlog-format = \"json\"\n" + common + "max-access = \"read\"\n" +
			fmt.Sprintf("[[listen]]\ntransport = \"http\"\npki = \"auto\"\naddress = %q\n[[hook]]\nname = \"new\"\nexec = [\"new-hook\"]\nsecrets = { key = \"canary-77\" }\n", added) +
			"[limits]\nmax-rate = 5000\nmax-frame = \"64KiB\"\n[[role]]\nname = \"x\"\nallow = [\"read\"]\n[[principal]]\nsubject = \"uid:4711\"\nrole = \"x\"\n[auth]\nusers-file = \"users\"\n[audit]\nfile = \"audit.jsonl\"\narguments = \"clear\"\n",
	}
}

// fileRules is all that a daemon says of its configuration.
func (p *process) state() string {
	p.t.Helper()
	var all []string
	for _, command := range []string{"config-get", "list-commands", "hook-list", "log-level-get", "status-get"} {
		reply := p.give(command, "")
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

// reachable checks that the daemon is where it says it is.
func (p *process) reachable() {
	p.t.Helper()
	reply := p.give("status-get", "")
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

// noHooksLeft waits until none of the hooks in a folder runs any more.
func noHooksLeft(t *testing.T, dir string) {
	t.Helper()
	hooksIn(t, dir, 0)
}

// countHooks counts the hooks in a folder that run.
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

// hookConfig-write leaves the file that was there or the new one, whole, whatever happens, and the daemon starts
// with either.
func TestFaultsOfAWrite(t *testing.T) {
	for _, step := range []string{"before backup", "after backup", "write", "sync", "rename", "sync folder", "after write"} {
		for _, how := range []string{"error", "kill"} {
			t.Run(step+" "+how, func(t *testing.T) {
				both := newPair(t)
				path := writeConfig(t, both.dir, "# mine\n"+both.new)
				p := start(t, both.dir, nil, "-c", "config.toml")
				state := p.state()
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
				require.Equal(t, state, again.state(), "what was written is what was in force")
				written := again.give("config-write", "")
				require.Equal(t, wire.CodeSuccess, written.Code, written.Text)
				again.stop()
				third := start(t, both.dir, nil, "-c", "config.toml")
				require.Equal(t, state, third.state())
				third.stop()
				backup, err := os.ReadFile(path + ".1")
				require.NoError(t, err)
				require.Equal(t, "# mine\n"+both.new, string(backup))
			})
		}
	}
}

// A apply that takes away the listener through which it came is answered there.
func TestRemovingOnesOwnListener(t *testing.T) {
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

	// Nobody shuts himself out by mistake.
	address := testkit.Port(t)
	alone := fmt.Sprintf(`{"listen":[{"transport":"tcp","address":%q,"insecure":true}]}`, address)
	a := &unix.Transport{Path: filepath.Join(dir, "control.sock")}
	require.Equal(t, wire.CodeError, give(a, `{"Rudderpost":{"listen":[]}}`).Code)
	require.Equal(t, wire.CodeError, give(a, `{"Rudderpost":`+alone+`}`).Code, "and nobody could prove anything there")
	low := `{"Rudderpost":{"listen":[{"transport":"unix","path":"control.sock","max-access":"write"}]}`
	require.Equal(t, wire.CodeConflict, give(a, low+"}").Code)
	require.Equal(t, wire.CodeSuccess, give(a, low+`,"force":true}`).Code)
	require.Equal(t, wire.CodeForbidden, give(a, only).Code, "as he wished")
	p.stop()
}
