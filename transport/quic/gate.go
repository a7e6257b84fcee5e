package quic

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/internal/ratelimit"
	"github.com/rudderpost/rudderpost/transport"
)

// freeHandshakes is how many clients a second may begin a handshake without having proven that they
// are where they say.
const freeHandshakes = 100

// A gate decides who may begin a handshake, counts connections, and tells of those that fail.
type gate struct {
	max, maxPerSource int
	onRefused         func(transport.Refusal)

	mu      sync.Mutex
	conns   int
	sources map[netip.Prefix]int

	unproven list.List // of *arrival: handshakes that can be ended, the oldest first

	pace float64          // handshakes a second
	free ratelimit.Bucket // handshakes that are free now
}

func (t *Transport) newGate() *gate {
	return &gate{
		max:          cmp.Or(t.MaxConns, defaultMaxConns),
		maxPerSource: cmp.Or(t.MaxPerSource, defaultMaxPerSource),
		onRefused:    t.OnRefused,
		sources:      make(map[netip.Prefix]int),
		pace:         float64(cmp.Or(t.hooks.pace, freeHandshakes)),
	}
}

// source is what counts as one address.
func source(addr net.Addr) netip.Prefix {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := udp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

// mustProve decides whether a client that has not proven its address must do so. A source that has
// many connections must, lest others fill its share in its name.
func (g *gate) mustProve(addr net.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns > g.max/2 || g.sources[source(addr)] > g.maxPerSource/2 {
		return true
	}
	now := time.Now()
	return g.free.Take(now, g.pace, g.pace) > 0
}

var (
	errTooMany           = errors.New("too many connections")
	errTooManyFromSource = errors.New("too many connections from this address")
	errGaveWay           = errors.New("too many handshakes at a time: the oldest gave way")
)

// An arrival is a connection from its first packet on. It is a value of the connection's context.
type arrival struct {
	accepted atomic.Bool // its handshake is complete
	from     netip.Prefix

	// Guarded by gate.mu.
	conn    *quicgo.Conn  // while the handshake is not complete, and can be ended
	place   *list.Element // in gate.unproven, while conn is set
	counted bool          // in gate.conns and gate.sources
	evicted bool          // it gave way to a newer handshake

	windows atomic.Pointer[transport.MemoryAccount] // where the connection's receive window is booked; nil: not yet
}

type arrivalKey struct{}

// arrivalOf returns nil for a connection that the gate has not seen.
func arrivalOf(conn *quicgo.Conn) *arrival {
	a, _ := conn.Context().Value(arrivalKey{}).(*arrival)
	return a
}

// book books the window that each connection begins with.
func (a *arrival) book(account transport.MemoryAccount) error {
	a.windows.Store(&account)
	return account.ReserveWindow(serverConnWindow)
}

// grow books an increase of the window, or refuses it.
func (a *arrival) grow(delta uint64) bool {
	account := a.windows.Load()
	return account != nil && (*account).Reserve(int(delta)) == nil
}

// free returns what is booked.
func (a *arrival) free() {
	if account := a.windows.Load(); account != nil {
		(*account).Close()
	}
}

// enter counts a connection until its context ends, or refuses it.
func (g *gate) enter(ctx context.Context, client *quicgo.ClientInfo) (context.Context, error) {
	from := source(client.RemoteAddr)
	if err := g.take(from); err != nil {
		g.refused(client.RemoteAddr, err)
		return nil, err
	}
	a := &arrival{from: from, counted: true}
	context.AfterFunc(ctx, func() {
		if g.leave(a) {
			g.refused(client.RemoteAddr, errGaveWay)
			return
		}
		cause := context.Cause(ctx)
		// One that ended by a word of the client has been through the handshake.
		if !a.accepted.Load() && !errors.As(cause, new(*quicgo.ApplicationError)) {
			g.refused(client.RemoteAddr, fmt.Errorf("handshake: %w", explain(cause)))
		}
	})
	return context.WithValue(ctx, arrivalKey{}, a), nil
}

// take counts a connection. Where a limit is reached, the oldest handshake that is not complete gives way; a
// connection whose client has proven itself never does.
func (g *gate) take(from netip.Prefix) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sources[from] >= g.maxPerSource && !g.evictLocked(func(a *arrival) bool { return a.from == from }) {
		return errTooManyFromSource
	}
	if g.conns >= g.max && !g.evictLocked(func(*arrival) bool { return true }) {
		return errTooMany
	}
	g.conns++
	g.sources[from]++
	return nil
}

// evictLocked ends the oldest handshake that may give way, and reports whether there was one.
func (g *gate) evictLocked(may func(*arrival) bool) bool {
	for e := g.unproven.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*arrival); may(a) {
			conn := a.conn
			a.evicted = true
			g.settleLocked(a)
			g.uncountLocked(a)
			go func() { _ = conn.CloseWithError(connBusy, errGaveWay.Error()) }()
			return true
		}
	}
	return false
}

// begun notes that the handshake of a connection can be ended from now on.
func (g *gate) begun(a *arrival, conn *quicgo.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.counted {
		a.conn, a.place = conn, g.unproven.PushBack(a)
	}
}

// proven notes that a handshake is complete, and reports whether its connection may stay.
func (g *gate) proven(a *arrival) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settleLocked(a)
	a.accepted.Store(!a.evicted)
	return !a.evicted
}

// settleLocked ends the time in which a handshake may give way.
func (g *gate) settleLocked(a *arrival) {
	if a.place != nil {
		g.unproven.Remove(a.place)
		a.conn, a.place = nil, nil
	}
}

// leave is for a connection that has ended. It reports whether it gave way.
func (g *gate) leave(a *arrival) (evicted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settleLocked(a)
	g.uncountLocked(a)
	return a.evicted
}

func (g *gate) uncountLocked(a *arrival) {
	if !a.counted {
		return
	}
	a.counted = false
	g.conns--
	if g.sources[a.from]--; g.sources[a.from] == 0 {
		delete(g.sources, a.from)
	}
}

func (g *gate) refused(addr net.Addr, err error) {
	if g.onRefused != nil {
		g.onRefused(transport.Refusal{Transport: "quic", Addr: addr, Err: err})
	}
}
