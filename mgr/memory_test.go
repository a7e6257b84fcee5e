package mgr_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A subjectTransport is a transport whose clients choose their subject.
type subjectTransport struct {
	memory transport.Memory
	conns  chan transport.Conn
	closed chan struct{}
}

func newSubjectTransport() *subjectTransport {
	return &subjectTransport{conns: make(chan transport.Conn), closed: make(chan struct{})}
}

func (p *subjectTransport) Listen(ctx context.Context) (transport.Listener, error) {
	p.memory = transport.MemoryOf(ctx)
	return p, nil
}

func (p *subjectTransport) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *subjectTransport) Close() error   { close(p.closed); return nil }
func (p *subjectTransport) Addr() net.Addr { return &net.UnixAddr{Name: "many"} }

// dial opens a conn whose peer has a subject.
func (p *subjectTransport) dial(t *testing.T, cred subject) *rawClient {
	here, there := net.Pipe()
	peer := transport.Peer{Transport: "many", Session: transport.NewSession("many"), Creds: []transport.Credential{cred}}
	p.conns <- transport.NewStream(there, transport.StreamConfig{Peer: peer, Memory: p.memory, Idle: -1, FrameTimeout: -1})
	return newRawClient(t, here)
}

// A subjectAuthorizer allows the subjects in its map all commands, unless their value is "".
type subjectAuthorizer struct {
	allow atomic.Pointer[map[string]string]
}

func allowing(allow map[string]string) *subjectAuthorizer {
	g := new(subjectAuthorizer)
	g.allow.Store(&allow)
	return g
}

func (g *subjectAuthorizer) Authorize(call *mgr.Call) error {
	if (*g.allow.Load())[call.Peer.String()] == "" {
		return wire.Errorf(wire.CodeForbidden, "", "nothing is allowed")
	}
	return nil
}

const owner = "uid:0"

func startWithSubjects(t *testing.T, l mgr.Limits, commands ...mgr.Command) (*daemon, *subjectTransport, *subjectAuthorizer) {
	g := allowing(map[string]string{owner: "read", "ann": "read", "bob": "read", "cid": "read", "dan": "read", "eve": "read"})
	d := start(t, &mgr.Options{Limits: l, Authorizer: g}, commands...)
	p := newSubjectTransport()
	_, err := d.Open(t.Context(), p)
	require.NoError(t, err)
	return d, p, g
}

// part returns the first n bytes of a frame that never ends.
func part(n int) string { return `{"command":"` + strings.Repeat("x", n-12) }

// sendAsync sends text on another goroutine, which blocks when the daemon stops reading.
func (c *rawClient) sendAsync(text string) {
	go func() { _, _ = c.conn.Write([]byte(text)) }()
}

// requireClosed waits until the daemon has closed the conn. A net.Pipe that is closed takes no deadline.
func (c *rawClient) requireClosed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	require.NoError(c.t, err)
	require.Empty(c.t, string(rest))
}

func TestFrameBeyondShareIsAnswered429AndItsConnCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{MaxBuffered: 4 << 20})
		c := p.dial(t, "ann")
		defer c.close()
		c.sendAsync(part(2 << 20))
		r := c.receive()
		require.Equal(t, 429, r.Result)
		require.Equal(t, "the command is not read to its end: ann has as many bytes of requests and replies in the daemon as one peer may (max-buffered-per-peer): 1048576; "+
			"send less at a time, or try again later", r.Text)
		c.requireClosed()
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
	})
}

// All conns of a peer share one limit. Another peer has its own.
func TestUnfinishedFramesOfOnePeerShareOneLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{MaxBuffered: 4 << 20})
		var some []*rawClient
		for range 3 {
			c := p.dial(t, "ann")
			c.sendAsync(part(200 << 10)) // in 256 KiB
			synctest.Wait()
			some = append(some, c)
		}
		require.EqualValues(t, 3*256<<10, d.Stats().Buffered)
		c := p.dial(t, "ann")
		defer c.close()
		c.sendAsync(part(200 << 10))
		require.Equal(t, 429, c.receive().Result)
		c.requireClosed()
		other := p.dial(t, "bob")
		other.sendAsync(part(200 << 10))
		synctest.Wait()
		require.EqualValues(t, 4*256<<10, d.Stats().Buffered)
		other.close()
		for _, c := range some {
			c.close()
		}
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
		c = p.dial(t, "ann")
		defer c.close()
		c.sendAsync(`{"command":"whoami",` + strings.Repeat(" ", 200<<10) + `"id":1}`)
		require.Zero(t, c.receive().Result)
	})
}

func TestPeerThatMayRunNothingHolds64KiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, g := startWithSubjects(t, mgr.Limits{})
		var some []*rawClient
		for range 16 { // 4 KiB each
			c := p.dial(t, "guest")
			c.sendAsync(part(100))
			synctest.Wait()
			some = append(some, c)
		}
		require.EqualValues(t, 64<<10, d.Stats().Buffered)
		c := p.dial(t, "guest")
		defer c.close()
		c.sendAsync(part(100))
		r := c.receive()
		require.Equal(t, 429, r.Result)
		require.Contains(t, r.Text, "guest may run no command, and has as many bytes in the daemon as such a peer may: 65536")
		c.requireClosed()

		g.allow.Store(&map[string]string{"guest": "read"}) // from now on the limit is that of other peers
		c = p.dial(t, "guest")
		defer c.close()
		c.sendAsync(part(1 << 20))
		synctest.Wait()
		require.Greater(t, d.Stats().Buffered, int64(1<<20))
		for _, c := range some {
			c.close()
		}
	})
}

func TestOwnerIsServedWhileTotalIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{MaxBuffered: 3650 << 10, MaxBufferedPerPeer: 1 << 20})
		for _, name := range []subject{"ann", "bob", "cid", "dan"} {
			for _, n := range []int{500, 250, 120} { // in 512, 256 and 128 KiB; 192 while the last one grows
				c := p.dial(t, name)
				defer c.close()
				c.sendAsync(part(n << 10))
				synctest.Wait()
			}
		}
		require.EqualValues(t, 3584<<10, d.Stats().Buffered)
		c := p.dial(t, "eve")
		defer c.close()
		c.sendAsync(part(100 << 10))
		r := c.receive()
		require.Equal(t, 429, r.Result)
		require.Contains(t, r.Text, "(max-buffered): 3737600")
		c.requireClosed()
		var some []*rawClient
		for range 10 { // with 32 KiB each, of which two would fit
			c := p.dial(t, owner)
			defer c.close()
			c.send(`{"command":"whoami",` + strings.Repeat(" ", 20<<10))
			some = append(some, c)
		}
		synctest.Wait()
		require.EqualValues(t, (3584+10*32)<<10, d.Stats().Buffered)
		for _, c := range some {
			c.send(`"id":1}`)
			require.Zero(t, c.receive().Result)
		}
	})
}

// The received part of an incomplete frame is reserved until the rest has arrived, or the conn is closed.
func TestUnfinishedFrameIsBookedFromItsFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{})
		c := p.dial(t, "ann")
		defer c.close()
		c.send(`{"command":"who`)
		synctest.Wait()
		require.EqualValues(t, 4<<10, d.Stats().Buffered)
		c.send(`ami","id":1}`)
		require.Zero(t, c.receive().Result)
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
		c.send(`{"command":"who`)
		c.close()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
	})
}

// The windows of connections count for the share and the total, and not for the 64 KiB of a peer that may run no command.
func TestWindowsCountAgainstTheShareAndNotAgainst64KiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{MaxBufferedPerPeer: 256 << 10})
		peer := transport.Peer{Creds: []transport.Credential{subject("guest")}}
		var accounts []transport.MemoryAccount
		for range 3 {
			a := p.memory.OpenAccount(peer)
			require.NoError(t, a.ReserveWindow(64<<10))
			accounts = append(accounts, a)
		}
		require.NoError(t, accounts[0].Reserve(64<<10), "its own 64 KiB are free")
		require.Error(t, accounts[1].Reserve(1))
		accounts[0].Release(64 << 10)
		require.NoError(t, accounts[1].Reserve(1))
		last := p.memory.OpenAccount(peer)
		require.NoError(t, last.ReserveWindow(63<<10))
		require.ErrorContains(t, last.ReserveWindow(64<<10), "max-buffered-per-peer")
		for _, a := range accounts {
			a.Close()
		}
		require.EqualValues(t, 63<<10, d.Stats().Buffered)
		last.Close()
	})
}

// The name of an unknown command is a copy of bytes of the request. It counts until the reply is written.
func TestNameOfAnUnknownCommandIsBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startWithSubjects(t, mgr.Limits{})
		c := p.dial(t, "ann")
		c.sendAsync(`{"command":"` + strings.Repeat("x", 100<<10) + `","id":1}`) // the reply is not read
		synctest.Wait()
		require.Greater(t, d.Stats().Buffered, int64(100<<10))
		c.close()
	})
}
