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

// mostTalkers is how many goroutines wait for the next conn, and what may come and go besides.
const mostTalkers = 64 + 16

// quietClients starts a daemon with clients over a socket that have had a command each, and are quiet so long already
// that nobody hears them.
func quietClients(t *testing.T, n int) (*daemon, []*talker) {
	t.Helper()
	d := start(t, &mgr.Options{Limits: mgr.Limits{MaxConns: 2 * n, MaxConnsPerPeer: 2 * n}})
	path := filepath.Join(t.TempDir(), "socket")
	_, err := d.Open(t.Context(), &unix.Transport{Path: path})
	require.NoError(t, err)
	var clients []*talker
	for range n {
		conn, err := net.Dial("unix", path)
		require.NoError(t, err)
		c := newTalker(t, conn)
		t.Cleanup(c.leave)
		clients = append(clients, c)
		c.greet()
	}
	wantHearing(t, 0)
	return d, clients
}

// wantHearing waits until so many goroutines hear a conn.
func wantHearing(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(stacks(), "(*Stream).Hear(") == n }, 10*time.Second, 5*time.Millisecond)
}

// greet gives a command, and waits for its reply.
func (c *talker) greet() {
	c.t.Helper()
	c.say(`{"command":"whoami","id":1}`)
	require.Zero(c.t, c.hear().Result)
}

func TestQuietConnsHaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	d, clients := quietClients(t, 400)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+mostTalkers }, 10*time.Second, 5*time.Millisecond)
	for range 3 {
		for _, c := range clients {
			c.say(`{"command":"whoami","id":1}`)
		}
		for _, c := range clients {
			require.Zero(t, c.hear().Result)
		}
	}
	require.Len(t, d.Sessions(), len(clients))
}

// Neither what is no command nor half of one keeps a goroutine, or loses the rest.
func TestQuietConnSaysLittle(t *testing.T) {
	_, clients := quietClients(t, 2)
	a, b := clients[0], clients[1]
	for range 3 {
		a.say(" \n# nothing\n")
		b.say(`{"command":`)
		wantHearing(t, 1) // b has begun a command, and its time is limited
		b.say(`"whoami","id":1}`)
		require.Zero(t, b.hear().Result)
		a.greet()
		wantHearing(t, 0)
	}
}

func TestQuietConnEnds(t *testing.T) {
	d, clients := quietClients(t, 100)
	victim := d.Sessions()[2]
	clients[0].halfClose()
	clients[0].eof()
	clients[1].leave()
	require.Equal(t, 1, d.CloseSession(victim.ID))
	clients[2].eof()
	require.Eventually(t, func() bool { return len(d.Sessions()) == len(clients)-3 }, 10*time.Second, time.Millisecond)
	clients[3].greet()
	require.NoError(t, d.end())
	for _, c := range clients[3:] {
		c.eof()
	}
}

// A client that is quiet, and hears of a command that it gave long ago.
func TestQuietConnIsAnswered(t *testing.T) {
	release := make(chan struct{})
	d, clients := quietClients(t, 2)
	require.NoError(t, d.Register(mgr.Command{Name: "slow", Level: mgr.Read, Async: true, Handler: func(ctx context.Context, _ *mgr.Call) (wire.Reply, error) {
		select {
		case <-release:
			return wire.Reply{Text: "done"}, nil
		case <-ctx.Done():
			return wire.Reply{}, context.Cause(ctx)
		}
	}}))
	a, b := clients[0], clients[1]
	a.say(`{"command":"slow","id":"a"}`)
	b.say(`{"command":"slow","id":"b"}`)
	wantHearing(t, 0)
	b.say(`{"command":"cancel","arguments":{"id":"b"},"id":2}`)
	replies := b.hearAll(2)
	require.Equal(t, "cancelled", replies["b"].Text)
	close(release)
	require.Equal(t, "a", a.hear().ID)
	b.greet()
}

// stacks returns those of all goroutines.
func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
