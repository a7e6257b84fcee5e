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

// A manyPeers is a transport whose clients name their subject.
type manyPeers struct {
	memory transport.Memory
	conns  chan transport.Conn
	closed chan struct{}
}

func newManyPeers() *manyPeers {
	return &manyPeers{conns: make(chan transport.Conn), closed: make(chan struct{})}
}

func (p *manyPeers) Listen(ctx context.Context) (transport.Listener, error) {
	p.memory = transport.MemoryOf(ctx)
	return p, nil
}

func (p *manyPeers) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *manyPeers) Close() error   { close(p.closed); return nil }
func (p *manyPeers) Addr() net.Addr { return &net.UnixAddr{Name: "many"} }

// dial connects a client with a subject.
func (p *manyPeers) dial(t *testing.T, who subject) *talker {
	here, there := net.Pipe()
	peer := transport.Peer{Transport: "many", Session: transport.NewSession("many"), Creds: []transport.Credential{who}}
	p.conns <- transport.NewStream(there, transport.StreamConfig{Peer: peer, Memory: p.memory, Idle: -1, FrameTimeout: -1})
	return newTalker(t, here)
}

// guests is an Authorizer that allows a subject what stands there: "" nothing, "read" reading.
type guests struct {
	allow atomic.Pointer[map[string]string]
}

func allowing(allow map[string]string) *guests {
	g := new(guests)
	g.allow.Store(&allow)
	return g
}

func (g *guests) Authorize(call *mgr.Call) error {
	if (*g.allow.Load())[call.Peer.String()] == "" {
		return wire.Errorf(wire.CodeForbidden, "", "nothing is allowed")
	}
	return nil
}

const owner = "uid:0"

func startMany(t *testing.T, l mgr.Limits, commands ...mgr.Command) (*daemon, *manyPeers, *guests) {
	g := allowing(map[string]string{owner: "read", "ann": "read", "bob": "read", "cid": "read", "dan": "read", "eve": "read"})
	d := start(t, &mgr.Options{Limits: l, Authorizer: g}, commands...)
	p := newManyPeers()
	_, err := d.Open(t.Context(), p)
	require.NoError(t, err)
	return d, p, g
}

// part is the first n bytes of a frame that never ends.
func part(n int) string { return `{"command":"` + strings.Repeat("x", n-12) }

// flood says text until the daemon does not read it.
func (c *talker) flood(text string) {
	go func() { _, _ = c.conn.Write([]byte(text)) }()
}

// ended waits until the daemon has closed the conn. A net.Pipe that is closed takes no deadline.
func (c *talker) ended() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	require.NoError(c.t, err)
	require.Empty(c.t, string(rest))
}

func TestFrameBeyondShareIsAnswered429AndItsConnCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{MaxBuffered: 4 << 20})
		c := p.dial(t, "ann")
		defer c.leave()
		c.flood(part(2 << 20))
		r := c.hear()
		require.Equal(t, 429, r.Result)
		require.Equal(t, "the command is not read to its end: ann has as many bytes of requests and replies in the daemon as one peer may (max-buffered-per-peer): 1048576; "+
			"send less at a time, or try again later", r.Text)
		c.ended()
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
	})
}

// The share is of all conns of a peer together. Another peer has its own.
func TestUnfinishedFramesOfOnePeerShareOneLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{MaxBuffered: 4 << 20})
		var some []*talker
		for range 3 {
			c := p.dial(t, "ann")
			c.flood(part(200 << 10)) // in 256 KiB
			synctest.Wait()
			some = append(some, c)
		}
		require.EqualValues(t, 3*256<<10, d.Stats().Buffered)
		c := p.dial(t, "ann")
		defer c.leave()
		c.flood(part(200 << 10))
		require.Equal(t, 429, c.hear().Result)
		c.ended()
		other := p.dial(t, "bob")
		other.flood(part(200 << 10))
		synctest.Wait()
		require.EqualValues(t, 4*256<<10, d.Stats().Buffered)
		other.leave()
		for _, c := range some {
			c.leave()
		}
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
		c = p.dial(t, "ann")
		defer c.leave()
		c.flood(`{"command":"whoami",` + strings.Repeat(" ", 200<<10) + `"id":1}`)
		require.Zero(t, c.hear().Result)
	})
}

func TestPeerThatMayRunNothingHolds64KiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, g := startMany(t, mgr.Limits{})
		var some []*talker
		for range 16 { // 4 KiB each
			c := p.dial(t, "nobody")
			c.flood(part(100))
			synctest.Wait()
			some = append(some, c)
		}
		require.EqualValues(t, 64<<10, d.Stats().Buffered)
		c := p.dial(t, "nobody")
		defer c.leave()
		c.flood(part(100))
		r := c.hear()
		require.Equal(t, 429, r.Result)
		require.Contains(t, r.Text, "nobody may run no command, and has as many bytes in the daemon as such a peer may: 65536")
		c.ended()

		g.allow.Store(&map[string]string{"nobody": "read"}) // from now on it has the share of others
		c = p.dial(t, "nobody")
		defer c.leave()
		c.flood(part(1 << 20))
		synctest.Wait()
		require.Greater(t, d.Stats().Buffered, int64(1<<20))
		for _, c := range some {
			c.leave()
		}
	})
}

func TestOwnerIsServedWhileTotalIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{MaxBuffered: 3650 << 10, MaxBufferedPerPeer: 1 << 20})
		for _, name := range []subject{"ann", "bob", "cid", "dan"} {
			for _, n := range []int{500, 250, 120} { // in 512, 256 and 128 KiB; 192 while the last one grows
				c := p.dial(t, name)
				defer c.leave()
				c.flood(part(n << 10))
				synctest.Wait()
			}
		}
		require.EqualValues(t, 3584<<10, d.Stats().Buffered)
		c := p.dial(t, "eve")
		defer c.leave()
		c.flood(part(100 << 10))
		r := c.hear()
		require.Equal(t, 429, r.Result)
		require.Contains(t, r.Text, "(max-buffered): 3737600")
		c.ended()
		var some []*talker
		for range 10 { // with 32 KiB each, of which two would fit
			c := p.dial(t, owner)
			defer c.leave()
			c.say(`{"command":"whoami",` + strings.Repeat(" ", 20<<10))
			some = append(some, c)
		}
		synctest.Wait()
		require.EqualValues(t, (3584+10*32)<<10, d.Stats().Buffered)
		for _, c := range some {
			c.say(`"id":1}`)
			require.Zero(t, c.hear().Result)
		}
	})
}

// What has been received of a frame is booked while the rest is waited for, and no longer.
func TestUnfinishedFrameIsBookedFromItsFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{})
		c := p.dial(t, "ann")
		defer c.leave()
		c.say(`{"command":"who`)
		synctest.Wait()
		require.EqualValues(t, 4<<10, d.Stats().Buffered)
		c.say(`ami","id":1}`)
		require.Zero(t, c.hear().Result)
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
		c.say(`{"command":"who`)
		c.leave()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, d.Stats().Buffered)
	})
}

// The windows of connections do not use up the 64 KiB of a peer that may run no command; its share and the total they use.
func TestWindowsCountAgainstTheShareAndNotAgainst64KiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{MaxBufferedPerPeer: 256 << 10})
		peer := transport.Peer{Creds: []transport.Credential{subject("nobody")}}
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

// The name of a command that does not exist is a copy of what the peer sent, and counts until its reply is sent.
func TestNameOfAnUnknownCommandIsBooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, p, _ := startMany(t, mgr.Limits{})
		c := p.dial(t, "ann")
		c.flood(`{"command":"` + strings.Repeat("x", 100<<10) + `","id":1}`) // the reply is not read
		synctest.Wait()
		require.Greater(t, d.Stats().Buffered, int64(100<<10))
		c.leave()
	})
}
