//go:build unix

// Package testdaemon runs daemons for tests of the whole: a manager in the process of the test, or rudderpostd in a
// process of its own.
package testdaemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Serve opens the transports and runs m until the test ends, or until the caller calls stop. stop returns the result of
// Run, which the end of the test requires to be nil.
func Serve(t testing.TB, m *mgr.CommandMgr, transports ...transport.Transport) (stop func() error) {
	t.Helper()
	for _, tr := range transports {
		Open(t, m, tr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { must(t, stop()) })
	return stop
}

// Open opens a listener and returns its address.
func Open(t testing.TB, m *mgr.CommandMgr, tr transport.Transport) net.Addr {
	t.Helper()
	socket, err := m.Open(t.Context(), tr)
	must(t, err)
	return socket.Addr()
}

// DialRaw opens a connection to a UNIX socket, on which the test reads and writes bytes. Its deadline is testkit.Timeout
// from now.
func DialRaw(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
	return conn.(*net.UnixConn)
}

// Ask sends request, which has no id, on a connection of its own and returns the reply.
func Ask(t testing.TB, path, request string) wire.Reply {
	t.Helper()
	conn := DialRaw(t, path)
	defer conn.Close()
	_, _ = io.WriteString(conn, request) // the daemon may refuse it before it has read the end
	return ReadReply(t, conn)
}

// ReadReply reads one reply and the end of the stream.
func ReadReply(t testing.TB, r io.Reader) wire.Reply {
	t.Helper()
	text, err := io.ReadAll(r)
	must(t, err)
	line, ok := bytes.CutSuffix(text, []byte("\n"))
	if !ok {
		t.Fatalf("the reply has no newline at its end: %.300q", text)
	}
	reply, err := wire.DecodeReply(line)
	if err != nil {
		t.Fatalf("%v: %.300q", err, text)
	}
	return reply
}

// Arguments returns the arguments of a reply as JSON. The reply must have some.
func Arguments(t testing.TB, reply wire.Reply) string {
	t.Helper()
	if reply.Arguments == nil {
		t.Fatalf("the reply has no arguments: %d %s", reply.Code, reply.Text)
	}
	return string(reply.Arguments.(wire.Value))
}

// Give gives one command on a conn of its own. arguments is JSON, or empty for a command without arguments.
func Give(t testing.TB, dialer transport.Dialer, command, arguments string) wire.Reply {
	t.Helper()
	request := wire.Request{Command: command}
	if arguments != "" {
		request.Arguments = wire.Value(arguments)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	reply, err := client.Do(ctx, dialer, request)
	must(t, err)
	return reply
}

// OneSocket is a configuration with a UNIX socket in the directory of the configuration.
const OneSocket = `
[[listen]]
transport = "unix"
path = "control.sock"
`

// Start starts rudderpostd with a configuration in a new directory that every user may enter, and waits until it listens
// on a UNIX socket. If change is not nil, it may change the command before it starts.
func Start(t testing.TB, config string, change func(*exec.Cmd)) (d *testkit.Child, dir, socket string) {
	t.Helper()
	dir = testkit.ShortDir(t)
	must(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600))
	d = testkit.StartProgram(t, dir, change, testkit.Program(t, "rudderpostd"), "-c", filepath.Join(dir, "config.toml"))
	return d, dir, d.Listening(t)
}

// Steer runs steer to its end, and returns its output and its exit status.
func Steer(t testing.TB, stdin string, args ...string) (output string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, testkit.Program(t, "steer"), args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=1")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// AnyCredential is an Authorizer that allows every command to a peer with a credential, and none to others.
type AnyCredential struct{}

// Authorize implements mgr.Authorizer.
func (AnyCredential) Authorize(call *mgr.Call) error {
	if len(call.Peer.Creds) == 0 {
		return wire.Errorf(wire.CodeUnauthenticated, "", "no credential")
	}
	return nil
}

// Entries returns the entries of an audit file, all of which must be whole.
func Entries(t testing.TB, path string) []record.Entry {
	t.Helper()
	return entries(t, path, false)
}

// EntriesOfKilled returns the entries of an audit file whose daemon was killed. Such a daemon may leave an unfinished
// line, of which it has told no client; EntriesOfKilled leaves it out. steer audit verify checks the rest.
func EntriesOfKilled(t testing.TB, path string) []record.Entry {
	t.Helper()
	return entries(t, path, true)
}

func entries(t testing.TB, path string, killed bool) (all []record.Entry) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	for e, err := range record.Read(f) {
		if _, unfinished := errors.AsType[*record.LineError](err); unfinished && killed {
			continue
		}
		must(t, err)
		all = append(all, e)
	}
	return all
}
