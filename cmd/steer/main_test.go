package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test program runs as steer if this variable is in its environment.
const beSteer = "RUDDERPOST_TEST_BE_STEER"

func TestMain(m *testing.M) {
	if os.Getenv(beSteer) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// A result has the output of steer and its exit status.
type result struct {
	stdout, stderr string
	status         int
}

// steer runs steer with these arguments and standard input.
func steer(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	var out, err bytes.Buffer
	status := run(ctx, args, strings.NewReader(stdin), &out, &err)
	require.NoError(t, ctx.Err(), "steer does not return")
	return result{out.String(), err.String(), status}
}

// failArguments are the result and the text that the command "fail" returns.
type failArguments struct {
	Result int    `json:"result" doc:"The result."`
	Text   string `json:"text" doc:"Its text."`
}

// serve runs a daemon, and returns the path of its socket. The command "echo" returns its arguments, "fail" returns the
// result that it is asked for, and "never" blocks until its context ends.
func serve(t *testing.T) string {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(
		mgr.Func("echo", "Return the arguments.", mgr.Read, func(ctx context.Context, _ mgr.None) (wire.Value, error) {
			call, _ := mgr.CallOf(ctx)
			return call.Arguments, nil
		}, mgr.AnyArguments()),
		mgr.Func("fail", "Return a result.", mgr.Read, func(_ context.Context, in failArguments) (wire.Reply, error) {
			return wire.Reply{Code: wire.Code(in.Result), Text: in.Text}, nil
		}),
		mgr.Async("never", "Block until the context ends.", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			<-ctx.Done()
			return mgr.None{}, ctx.Err()
		}),
	))
	require.NoError(t, m.Register(std.LogLevel(new(slog.LevelVar))...))
	return serveManager(t, m)
}

// serveManager runs a manager until the test ends, and returns the path of its socket.
func serveManager(t *testing.T, m *mgr.CommandMgr) string {
	t.Helper()
	path := filepath.Join(testkit.ShortDir(t), "control.sock")
	_, err := m.Open(t.Context(), &unix.Transport{Path: path})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return path
}

// serveRaw listens at a socket, and calls handle for each conn.
func serveRaw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(testkit.ShortDir(t), "peer.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return path
}

// serveKeaReply answers as Kea does: it writes one reply without a newline, and closes.
func serveKeaReply(t *testing.T, reply string) string {
	return serveRaw(t, func(conn net.Conn) {
		request := make([]byte, 4096)
		if n, _ := conn.Read(request); n > 0 {
			_, _ = conn.Write([]byte(reply))
		}
	})
}
