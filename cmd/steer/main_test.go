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

// The test program is steer too, when this is in its environment.
const beSteer = "RUDDERPOST_TEST_BE_STEER"

func TestMain(m *testing.M) {
	if os.Getenv(beSteer) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// A told is what steer said, and its exit status.
type told struct {
	out, err string
	status   int
}

// steer runs steer with a command line and standard input.
func steer(t *testing.T, stdin string, args ...string) told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	var out, err bytes.Buffer
	status := run(ctx, args, strings.NewReader(stdin), &out, &err)
	require.NoError(t, ctx.Err(), "it waits for ever")
	return told{out.String(), err.String(), status}
}

// outcome is what the command "fail" is asked to answer.
type outcome struct {
	Result int    `json:"result" doc:"The result."`
	Text   string `json:"text" doc:"Its text."`
}

// serve runs a daemon for steer to command, and returns the path of its socket. Its commands echo
// what they are given.
func serve(t *testing.T) string {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(
		mgr.Func("echo", "Return the arguments.", mgr.Read, func(ctx context.Context, _ mgr.None) (wire.Value, error) {
			call, _ := mgr.CallOf(ctx)
			return call.Arguments, nil
		}, mgr.AnyArguments()),
		mgr.Func("fail", "Return a result.", mgr.Read, func(_ context.Context, in outcome) (wire.Reply, error) {
			return wire.Reply{Code: wire.Code(in.Result), Text: in.Text}, nil
		}),
		mgr.Async("never", "Answer when nobody waits any more.", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
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

// peer listens at a socket and does with each conn what a test wants: it is no daemon of ours.
func peer(t *testing.T, answer func(net.Conn)) string {
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
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return path
}

// kea answers the way Kea does: one reply, without a newline, and the end.
func kea(t *testing.T, reply string) string {
	return peer(t, func(conn net.Conn) {
		request := make([]byte, 4096)
		if n, _ := conn.Read(request); n > 0 {
			_, _ = conn.Write([]byte(reply))
		}
	})
}
