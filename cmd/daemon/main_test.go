package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test program runs as the daemon if this variable is in its environment.
const beDaemon = "RUDDERPOST_TEST_BE_DAEMON"

// With the path of a socket in beClient, the test program sends config-reload there and prints the reply.
const beClient = "RUDDERPOST_TEST_BE_CLIENT"

// With the path of a socket in holdConns, the test program keeps 300 conns open there until its standard input ends.
const holdConns = "RUDDERPOST_TEST_HOLD_CONNS"

func holdManyConns(path string) {
	var held []net.Conn
	for range 300 {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_, _ = io.WriteString(c, `{"command":"whoami","id":1}`)
			held = append(held, c)
		}
	}
	fmt.Println("held", len(held))
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func runClient(path string) {
	request := wire.Request{Command: "config-reload"}
	if arguments := os.Getenv(beClient + "_ARGUMENTS"); arguments != "" {
		request.Arguments = wire.Value(arguments)
	}
	reply, err := client.Do(context.Background(), &unix.Transport{Path: path}, request)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	text, _ := wire.AppendReply(nil, reply)
	fmt.Println(string(text))
	os.Exit(0)
}

func TestMain(m *testing.M) {
	if os.Getenv(beDaemon) != "" {
		failpoint, sharedfile.Step = failAtStep, failAtStep
		main()
	}
	if path := os.Getenv(beClient); path != "" {
		runClient(path)
	}
	if path := os.Getenv(holdConns); path != "" {
		holdManyConns(path)
	}
	goleak.VerifyTestMain(m)
}

// A process is a daemon in its own directory.
type process struct {
	*testkit.Child
	t *testing.T
}

// start starts a daemon in a directory. change may modify the command first.
func start(t *testing.T, dir string, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return startCommand(t, dir, change, exec.Command(self, args...))
}

// startCommand starts a command that runs a daemon.
func startCommand(t *testing.T, dir string, change func(*exec.Cmd), cmd *exec.Cmd) *process {
	t.Helper()
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), beDaemon+"=1", "GORACE=atexit_sleep_ms=1")
	if change != nil {
		change(cmd)
	}
	return &process{testkit.Start(t, cmd), t}
}

// startIn starts a daemon with a configuration, and waits until it listens.
func startIn(t *testing.T, dir, config string) *process {
	t.Helper()
	writeConfig(t, dir, config)
	p := start(t, dir, nil, "-c", "config.toml")
	p.listening()
	return p
}

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, dir, config string) string {
	t.Helper()
	path := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return path
}

// wait waits until the process has ended, and returns its exit status.
func (p *process) wait() int {
	p.t.Helper()
	return p.Wait(p.t)
}

// listening waits until the daemon listens on a UNIX socket, and returns the path.
func (p *process) listening() string {
	p.t.Helper()
	return p.Listening(p.t)
}

// urls waits until the daemon has printed n URLs of listeners, and returns them.
func (p *process) urls(n int) (urls []string) {
	p.t.Helper()
	testkit.Eventually(p.t, func() bool {
		urls = nil
		for line := range strings.Lines(p.Out.String()) {
			if rest, ok := strings.CutPrefix(line, "listening on "); ok && strings.HasSuffix(line, "\n") {
				url, _, _ := strings.Cut(rest, ";")
				url, _, _ = strings.Cut(url, ",")
				urls = append(urls, url)
			}
		}
		return len(urls) == n
	}, "a listener is missing")
	return urls
}

// stop ends the daemon with SIGTERM, and requires the exit status 0.
func (p *process) stop() {
	p.t.Helper()
	require.NoError(p.t, p.Process.Signal(syscall.SIGTERM))
	require.Zero(p.t, p.wait(), p.Err.String())
}

// command sends a command to the daemon. arguments is JSON, or empty.
func (p *process) command(command, arguments string) wire.Reply {
	p.t.Helper()
	var value wire.Value
	if arguments != "" {
		value = wire.Value(arguments)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), testkit.Timeout)
	defer cancel()
	reply, err := client.Do(ctx, &unix.Transport{Path: p.listening()}, wire.Request{Command: command, Arguments: value})
	require.NoError(p.t, err)
	return reply
}

// exchange writes text to the daemon, and returns everything that it answers.
func (p *process) exchange(text string) string {
	p.t.Helper()
	conn, err := net.Dial("unix", p.listening())
	require.NoError(p.t, err)
	defer conn.Close()
	require.NoError(p.t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
	_, err = io.WriteString(conn, text)
	require.NoError(p.t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(p.t, err)
	return string(answer)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// errNotSettable is the error of config-set and config-test for a change that only the file may make.
var errNotSettable = &wire.Error{Code: wire.CodeError, Word: "not-settable"}
