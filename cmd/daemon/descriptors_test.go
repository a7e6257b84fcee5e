package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// startWithDescriptorLimit starts a daemon with a limit on its descriptors.
func startWithDescriptorLimit(t *testing.T, dir string, limit int) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return startCommand(t, dir, nil, exec.Command("sh", "-c", "ulimit -n "+strconv.Itoa(limit)+`; exec "$0" -c config.toml`, self))
}

// openManyConns opens conns at an address and writes text on each of them. end closes them.
func openManyConns(t *testing.T, address, text string) (end func()) {
	t.Helper()
	var held []net.Conn
	for range 300 {
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			continue // the daemon has closed it, or the accept queue of the kernel is full
		}
		_, _ = io.WriteString(c, text)
		held = append(held, c)
	}
	return func() {
		for _, c := range held {
			_ = c.Close()
		}
	}
}

// holdUnixConns is openManyConns over the UNIX socket, by another user.
func holdUnixConns(t *testing.T, dir, path string) (end func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	program := filepath.Join(dir, "holder")
	_ = os.Remove(program)
	require.NoError(t, os.WriteFile(program, text, 0o755))
	cmd := exec.Command(program)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), holdConns+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "held")
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

// Other users hold all descriptors that they can get, over each transport. The owner can still connect over the UNIX
// socket, reload the configuration, and the audit is written. When the conns close, other users can connect again.
func TestOwnerConnectsWhenOtherUsersHoldAllDescriptors(t *testing.T) {
	for _, limit := range []int{64, 128, 256} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			dir := testkit.ShortDir(t)
			addresses := map[string]string{}
			config := "state-dir = \"run\"\n" + oneSocket + "mode = \"0666\"\n[auth]\ntokens-file = \"tokens\"\n[audit]\nfile = \"audit.jsonl\"\n" +
				"[[principal]]\nsubject = \"uid:65534\"\nrole = \"monitor\"\n"
			for name, keys := range map[string]string{
				"tcp": "transport = \"tcp\"\ninsecure = true\nanonymous = \"monitor\"\n", "tls": "transport = \"tcp\"\npki = \"auto\"\n",
				"https": "transport = \"http\"\npki = \"auto\"\n", "http": "transport = \"http\"\ninsecure = true\n", "ws": "transport = \"websocket\"\ninsecure = true\n",
			} {
				addresses[name] = testkit.Port(t)
				config += fmt.Sprintf("[[listen]]\n%saddress = %q\n", keys, addresses[name])
			}
			writeConfig(t, dir, config)
			p := startWithDescriptorLimit(t, dir, limit)
			p.urls(6)
			lines := func() int {
				record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
				require.NoError(t, err)
				return strings.Count(string(record), "\n")
			}
			texts := map[string]string{
				"tcp": `{"command":"whoami","id":1}`, "tls": "", "https": "\x16\x03\x01", "http": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "ws": "GET / HTTP/1.1\r\n",
			}
			openConns := map[string]func() func(){}
			for name, text := range texts {
				openConns[name] = func() func() { return openManyConns(t, addresses[name], text) }
			}
			if os.Geteuid() == 0 {
				openConns["unix"] = func() func() { return holdUnixConns(t, dir, p.listening()) }
			}
			for name, begin := range openConns {
				end := begin()
				if name == "tcp" || name == "unix" { // these conns are not closed, because they have sent a command
					testkit.Eventually(t, func() bool {
						open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
						return err != nil || len(open) >= limit-max(limit/8, 24)-1
					}, "%s does not hold all descriptors", name)
				}
				for i := range 10 {
					require.Equal(t, wire.CodeSuccess, p.command("status-get", "").Code, name)
					before := lines()
					reply := p.command("config-reload", "")
					require.Equal(t, wire.CodeSuccess, reply.Code, "%s %d: %s", name, i, reply.Text)
					require.Greater(t, lines(), before, name)
				}
				reply := p.command("config-write", "")
				require.Equal(t, wire.CodeSuccess, reply.Code, "%s: %s", name, reply.Text)
				writeConfig(t, dir, config)
				end()
			}
			require.NotContains(t, p.Err.String(), "too many open files")
			testkit.Eventually(t, func() bool {
				conn, err := net.Dial("tcp", addresses["tcp"])
				if err != nil {
					return false
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Second))
				_, _ = io.WriteString(conn, `{"command":"whoami"}`)
				text, err := io.ReadAll(conn)
				return err == nil && strings.Contains(string(text), "anonymous:monitor")
			}, "other users cannot connect again")
			p.stop()
		})
	}
}

// The owner opens as many conns as one peer may have, and then uses up all descriptors. Its next command gets a reply.
func TestOwnerConnectsWhenItsOwnConnsReachALimit(t *testing.T) {
	for name, c := range map[string]struct {
		limit int
		keys  string
	}{
		"conns of a peer": {1024, "[limits]\nmax-conns-per-peer = 50\n"}, "conns of a listener": {1024, "[limits]\nmax-conns = 50\n"}, "descriptors": {96, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			writeConfig(t, dir, oneSocket+"[audit]\nfile = \"audit.jsonl\"\n"+c.keys)
			p := startWithDescriptorLimit(t, dir, c.limit)
			at := &unix.Transport{Path: p.listening()}
			for range 120 {
				held, err := client.Dial(t.Context(), at)
				require.NoError(t, err)
				defer held.Close()
				_, err = held.Do(t.Context(), wire.Request{Command: "whoami"})
				require.NoError(t, err)
			}
			for range 10 {
				require.Equal(t, wire.CodeSuccess, p.command("status-get", "").Code)
				reply := p.command("config-reload", "")
				require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			}
			require.NotContains(t, p.Err.String(), "too many open files")
			p.stop()
		})
	}
}
