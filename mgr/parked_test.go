//go:build linux

package mgr_test

import (
	"context"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// maxIdleReaders is the number of idle readers in the pool, with some reserve for other goroutines.
const maxIdleReaders = 64 + 16

// parkedClients starts a daemon with n clients on a UNIX socket. Each has sent one command, and its conn is parked.
func parkedClients(t *testing.T, n int) (*daemon, []*rawClient) {
	t.Helper()
	d := start(t, &mgr.Options{Limits: mgr.Limits{MaxConns: 2 * n, MaxConnsPerPeer: 2 * n}})
	path := filepath.Join(t.TempDir(), "socket")
	_, err := d.Open(t.Context(), &unix.Transport{Path: path})
	require.NoError(t, err)
	var clients []*rawClient
	for range n {
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		c := newRawClient(t, conn)
		t.Cleanup(c.close)
		clients = append(clients, c)
		c.requireServed()
	}
	waitForReaders(t, 0)
	return d, clients
}

// waitForReaders waits until n goroutines are in the read loop.
func waitForReaders(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(stacks(), "(*Stream).readLoop(") == n }, 10*time.Second, 5*time.Millisecond)
}

// requireServed sends a command and receives its reply.
func (c *rawClient) requireServed() {
	c.t.Helper()
	c.send(`{"command":"whoami","id":1}`)
	require.Zero(c.t, c.receive().Result)
}

func TestParkedConnsHaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	d, clients := parkedClients(t, 400)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+maxIdleReaders }, 10*time.Second, 5*time.Millisecond)
	for range 3 {
		for _, c := range clients {
			c.send(`{"command":"whoami","id":1}`)
		}
		for _, c := range clients {
			require.Zero(t, c.receive().Result)
		}
	}
	require.Len(t, d.Sessions(), len(clients))
}

// White space, comments and incomplete frames do not keep a reader, and no byte is lost.
func TestParkedConnThatReceivesNoFrameIsParkedAgain(t *testing.T) {
	_, clients := parkedClients(t, 2)
	a, b := clients[0], clients[1]
	for range 3 {
		a.send(" \n# nothing\n")
		b.send(`{"command":`)
		waitForReaders(t, 1) // the incomplete command of b has a time limit
		b.send(`"whoami","id":1}`)
		require.Zero(t, b.receive().Result)
		a.requireServed()
		waitForReaders(t, 0)
	}
}

func TestParkedConnIsClosed(t *testing.T) {
	d, clients := parkedClients(t, 100)
	killed := d.Sessions()[2]
	clients[0].closeWrite()
	clients[0].requireEOF()
	clients[1].close()
	require.Equal(t, 1, d.CloseSession(killed.ID))
	clients[2].requireEOF()
	require.Eventually(t, func() bool { return len(d.Sessions()) == len(clients)-3 }, 10*time.Second, time.Millisecond)
	clients[3].requireServed()
	require.NoError(t, d.end())
	for _, c := range clients[3:] {
		c.requireEOF()
	}
}

// A parked conn gets the reply to a command that it sent before.
func TestParkedConnGetsItsReply(t *testing.T) {
	release := make(chan struct{})
	d, clients := parkedClients(t, 2)
	require.NoError(t, d.Register(mgr.Command{Name: "slow", Level: mgr.Read, Async: true, Handler: func(ctx context.Context, _ *mgr.Call) (wire.Reply, error) {
		select {
		case <-release:
			return wire.Reply{Text: "done"}, nil
		case <-ctx.Done():
			return wire.Reply{}, context.Cause(ctx)
		}
	}}))
	a, b := clients[0], clients[1]
	a.send(`{"command":"slow","id":"a"}`)
	b.send(`{"command":"slow","id":"b"}`)
	waitForReaders(t, 0)
	b.send(`{"command":"cancel","arguments":{"id":"b"},"id":2}`)
	replies := b.receiveAll(2)
	require.Equal(t, "cancelled", replies["b"].Text)
	close(release)
	require.Equal(t, "a", a.receive().ID)
	b.requireServed()
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
