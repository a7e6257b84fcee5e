package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the daemon logs there
	goleak.VerifyTestMain(m)
}

// start runs the daemon. stop makes it drain; ended then has the result of run.
func start(t *testing.T) (socket string, stop context.CancelFunc, ended chan error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "selectloop.sock")
	ctx, stop := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- run(ctx, socket) }()
	require.Eventually(t, func() bool {
		_, err := os.Lstat(socket)
		return err == nil
	}, testkit.Timeout, 2*time.Millisecond)
	return socket, stop, ended
}

func TestSelectLoopRunsCommandsAndCountsTicks(t *testing.T) {
	socket, stop, ended := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	c, err := client.Dial(ctx, &unix.Transport{Path: socket})
	require.NoError(t, err)
	defer c.Close()
	state, err := client.Call[counter](ctx, c, "count-set", counter{Count: 100})
	require.NoError(t, err)
	require.Equal(t, 100, state.Count)
	_, err = client.Call[counter](ctx, c, "count-set", counter{Count: -1})
	require.ErrorContains(t, err, "count")

	// The loop counts ticks between the commands.
	require.Eventually(t, func() bool {
		state, err := client.Call[counter](ctx, c, "count-get", nil)
		return err == nil && state.Count > 100
	}, testkit.Timeout, 10*time.Millisecond)

	stop()
	require.NoError(t, <-ended)
	_, err = os.Lstat(socket)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// If the daemon is stopped while clients send commands, each accepted command gets its reply, in order and whole, and each
// other command is refused.
func TestDrainAnswersEachAcceptedCommand(t *testing.T) {
	socket, stop, ended := start(t)
	const conns, enough = 8, 200
	var clients, warm sync.WaitGroup
	warm.Add(conns)
	for range conns {
		conn, err := net.Dial("unix", socket)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Timeout)))
		clients.Go(func() { // sends commands until the conn has ended
			for id := 0; ; id++ {
				if _, err := fmt.Fprintf(conn, `{"command":"count-set","arguments":{"count":%d},"id":%d}`, id, id); err != nil {
					return
				}
			}
		})
		clients.Go(func() {
			defer conn.Close()
			started := sync.OnceFunc(warm.Done)
			defer started() // the test does not wait for a client that has failed
			lines := bufio.NewReader(conn)
			done, refused := 0, map[wire.ID]bool{} // a refusal may overtake earlier replies
			for {
				line, err := lines.ReadBytes('\n')
				if err != nil { // a reset, since the other goroutine was still sending
					require.True(t, errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET), "%v", err)
					require.Empty(t, string(line), "a reply was cut")
					break
				}
				reply, err := wire.DecodeReply(line)
				require.NoError(t, err)
				if reply.Code == wire.CodeShuttingDown {
					refused[reply.ID] = true
					continue
				}
				require.Equal(t, wire.CodeSuccess, reply.Code)
				require.Equal(t, wire.IntID(int64(done)), reply.ID)
				require.JSONEq(t, fmt.Sprintf(`{"count":%d}`, done), string(reply.Arguments.(wire.Value)))
				if done++; done == enough {
					started()
				}
			}
			require.GreaterOrEqual(t, done, enough)
			for id := range len(refused) { // the refused commands follow the accepted ones without a gap
				require.True(t, refused[wire.IntID(int64(done+id))], "%d was lost", done+id)
			}
		})
	}
	warm.Wait()
	stop()
	require.NoError(t, <-ended)
	clients.Wait()
}
