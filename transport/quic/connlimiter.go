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

// freeHandshakes is how many handshakes a second may begin without a proof of the client's address (Retry).
const freeHandshakes = 100

// A connLimiter bounds the connections and handshakes of a listener, and reports those that fail. Its methods may be
// called from any goroutine.
type connLimiter struct {
	max, maxPerSource int
	onRefused         func(transport.Refusal)

	mu      sync.Mutex
	conns   int
	sources map[netip.Prefix]int // connections by source address

	handshakes list.List // of *connRecord in state handshaking, the oldest first

	rate   float64 // handshakes a second without a Retry
	bucket ratelimit.Bucket
}

func (t *Transport) newConnLimiter() *connLimiter {
	return &connLimiter{
		max:          cmp.Or(t.MaxConns, defaultMaxConns),
		maxPerSource: cmp.Or(t.MaxPerSource, defaultMaxPerSource),
		onRefused:    t.OnRefused,
		sources:      make(map[netip.Prefix]int),
		rate:         float64(cmp.Or(t.hooks.pace, freeHandshakes)),
	}
}

// sourceOf returns the addresses that count as one: an IPv4 address, or the first 64 bits of an IPv6 address.
func sourceOf(addr net.Addr) netip.Prefix {
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

// needsRetry reports whether a client must prove its address before the handshake. It must when many connections are
// open or when its address has many: otherwise others could use up the share of that address with spoofed packets.
func (g *connLimiter) needsRetry(addr net.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns > g.max/2 || g.sources[sourceOf(addr)] > g.maxPerSource/2 {
		return true
	}
	return g.bucket.Take(time.Now(), g.rate, g.rate) > 0
}

var (
	errTooMany           = errors.New("too many connections")
	errTooManyFromSource = errors.New("too many connections from this address")
	errEvicted           = errors.New("too many handshakes at the same time: the oldest one was closed")
)

// A recordState is the state of a connection in the connLimiter:
//
//	from         to           when                                                      counted
//	-            counted      the first packet was accepted (add)                       yes
//	counted      handshaking  the daemon has sent its part of the handshake             yes
//	counted      established  the handshake is complete (handshakeDone)                 yes
//	handshaking  established  the handshake is complete (handshakeDone)                 yes
//	handshaking  evicted      a new connection needs the place; it closes this one      no
//	any          ended        quic-go has ended the connection (remove)                 no
type recordState uint8

const (
	counted recordState = iota
	handshaking
	established
	evicted
	ended
)

// A connRecord is what the connLimiter knows of a connection. It is a value of the connection's context.
type connRecord struct {
	source netip.Prefix

	// Guarded by connLimiter.mu.
	state recordState
	close func()        // in state handshaking: closes the connection
	place *list.Element // in state handshaking: the place in connLimiter.handshakes

	windows atomic.Pointer[transport.MemoryAccount] // the account of the connection's receive window; nil: not opened
}

type recordKey struct{}

// recordOf returns the record of a connection. It is nil for a connection that the connLimiter has not added.
func recordOf(conn *quicgo.Conn) *connRecord {
	r, _ := conn.Context().Value(recordKey{}).(*connRecord)
	return r
}

// bookWindow books the receive window that each connection begins with.
func (r *connRecord) bookWindow(account transport.MemoryAccount) error {
	r.windows.Store(&account)
	return account.ReserveWindow(serverConnWindow)
}

// growWindow books an increase of the receive window. It returns false if the budget does not allow it.
func (r *connRecord) growWindow(delta uint64) bool {
	account := r.windows.Load()
	return account != nil && (*account).Reserve(int(delta)) == nil
}

// releaseWindow releases all that was booked.
func (r *connRecord) releaseWindow() {
	if account := r.windows.Load(); account != nil {
		(*account).Close()
	}
}

// addConn counts a connection until its context ends, or returns an error that refuses it.
func (g *connLimiter) addConn(ctx context.Context, client *quicgo.ClientInfo) (context.Context, error) {
	r, err := g.add(sourceOf(client.RemoteAddr))
	if err != nil {
		g.refused(client.RemoteAddr, err)
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		switch cause := context.Cause(ctx); g.remove(r) {
		case established:
		case evicted:
			g.refused(client.RemoteAddr, errEvicted)
		default:
			// The client closes a connection with an ApplicationError only after the handshake.
			if !errors.As(cause, new(*quicgo.ApplicationError)) {
				g.refused(client.RemoteAddr, fmt.Errorf("handshake: %w", explain(cause)))
			}
		}
	})
	return context.WithValue(ctx, recordKey{}, r), nil
}

// add counts a connection. When a limit is reached, it evicts the oldest connection whose handshake is not complete. An
// established connection is never evicted.
func (g *connLimiter) add(source netip.Prefix) (*connRecord, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sources[source] >= g.maxPerSource && !g.evictLocked(func(r *connRecord) bool { return r.source == source }) {
		return nil, errTooManyFromSource
	}
	if g.conns >= g.max && !g.evictLocked(func(*connRecord) bool { return true }) {
		return nil, errTooMany
	}
	g.conns++
	g.sources[source]++
	return &connRecord{source: source}, nil
}

// evictLocked closes the oldest connection in state handshaking that matches. It returns false if there is none.
func (g *connLimiter) evictLocked(match func(*connRecord) bool) bool {
	for e := g.handshakes.Front(); e != nil; e = e.Next() {
		if r := e.Value.(*connRecord); match(r) {
			go r.close()
			g.setStateLocked(r, evicted)
			return true
		}
	}
	return false
}

// handshakeStarted makes it possible to evict a connection. closeConn closes it.
func (g *connLimiter) handshakeStarted(r *connRecord, closeConn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.state == counted {
		r.state, r.close, r.place = handshaking, closeConn, g.handshakes.PushBack(r)
	}
}

// handshakeDone makes a connection established, unless it was evicted or has ended, and returns its state.
func (g *connLimiter) handshakeDone(r *connRecord) recordState {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.state == counted || r.state == handshaking {
		g.setStateLocked(r, established)
	}
	return r.state
}

// remove ends the record of a connection, and returns the state before.
func (g *connLimiter) remove(r *connRecord) recordState {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := r.state
	g.setStateLocked(r, ended)
	return before
}

// setStateLocked changes the state of a record to established, evicted or ended, and keeps the counts.
func (g *connLimiter) setStateLocked(r *connRecord, to recordState) {
	if r.place != nil {
		g.handshakes.Remove(r.place)
		r.close, r.place = nil, nil
	}
	before := r.state
	r.state = to
	if before == evicted || before == ended || to == established {
		return
	}
	g.conns--
	if g.sources[r.source]--; g.sources[r.source] == 0 {
		delete(g.sources, r.source)
	}
}

// refused reports a refused connection to OnRefused.
func (g *connLimiter) refused(addr net.Addr, err error) {
	if g.onRefused != nil {
		g.onRefused(transport.Refusal{Transport: "quic", Addr: addr, Err: err})
	}
}
