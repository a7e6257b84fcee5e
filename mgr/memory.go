package mgr

import (
	"fmt"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Two counters have the bytes that are held for peers: CommandMgr.buffered for all peers together, at most MaxBuffered; and
// peer.buffered for each peer, at most its share. Transports reserve the bytes of incomplete frames in memory accounts. Conns
// add the bytes of requests in flight and of replies that are not written.

const (
	// shareWithoutRights is the share, in bytes, of a peer that may run no command.
	shareWithoutRights = 64 << 10

	// ownerReserve is the number of bytes that each conn of the owner may hold although the limits are reached, so that the
	// owner can repair the daemon. PROTOCOL.md includes it in the memory for each conn.
	ownerReserve = 64 << 10
)

// A listenerMemory is the transport.Memory for the conns of a listener.
type listenerMemory struct{ listener *Listener }

// OpenAccount implements transport.Memory.
func (s listenerMemory) OpenAccount(peer transport.Peer) transport.MemoryAccount {
	return &account{listener: s.listener, owner: isOwner(peer), peer: peer, of: s.listener.m.peerFor(peer)}
}

// peerFor returns the peer, and makes it if it is new. The manager keeps it at least until releasePeer.
func (m *CommandMgr) peerFor(of transport.Peer) *peer {
	name := of.String()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[name]
	if p == nil {
		p = m.newPeerLocked(name)
	}
	p.accounts++
	return p
}

func (m *CommandMgr) releasePeer(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.accounts--
	m.forgetUnusedLocked(p)
}

// An account is the memory account of one conn, or of one connection: it counts the bytes of incomplete frames.
type account struct {
	listener *Listener
	peer     transport.Peer
	owner    bool
	of       *peer

	mu     sync.Mutex
	booked int64
	window int64 // the part of booked that ReserveWindow added
	closed bool
}

// Reserve implements transport.MemoryAccount.
func (a *account) Reserve(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reserveLocked(n)
}

// ReserveWindow implements transport.MemoryAccount.
func (a *account) ReserveWindow(n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of.windows.Add(int64(n))
	err := a.reserveLocked(n)
	if err != nil || a.closed {
		a.of.windows.Add(int64(-n))
		return err
	}
	a.window += int64(n)
	return nil
}

func (a *account) reserveLocked(n int) error {
	if a.closed {
		return nil
	}
	m := a.listener.m
	full := m.exceededLimit(a.of, int64(n), func() bool { return a.listener.allowsNothing(a.peer) })
	if full != nil && (!a.owner || a.booked+int64(n) > ownerReserve) {
		return &transport.FrameError{Reason: transport.OverBudget, Limit: int(full.bytes), LimitName: full.name(a.peer)}
	}
	m.addBuffered(a.of, int64(n))
	a.booked += int64(n)
	return nil
}

// Release implements transport.MemoryAccount.
func (a *account) Release(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.booked -= int64(n)
	a.listener.m.addBuffered(a.of, int64(-n))
}

// Close implements transport.MemoryAccount.
func (a *account) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	a.listener.m.addBuffered(a.of, -a.booked)
	a.of.windows.Add(-a.window)
	a.listener.m.releasePeer(a.of)
}

// addBuffered adds n bytes to both counters; n may be negative.
func (m *CommandMgr) addBuffered(p *peer, n int64) {
	p.buffered.Add(n)
	m.buffered.Add(n)
}

// A fullLimit is a limit on held bytes that is reached.
type fullLimit struct {
	kind  fullKind
	bytes int64
}

type fullKind uint8

const (
	totalFull    fullKind = iota // MaxBuffered
	shareFull                    // MaxBufferedPerPeer
	noRightsFull                 // shareWithoutRights
)

// name returns a text that names the limit and the setting for it.
func (f *fullLimit) name(peer transport.Peer) string {
	switch f.kind {
	case totalFull:
		return "all peers together have as many bytes of requests and replies in the daemon as they may (max-buffered)"
	case shareFull:
		return fmt.Sprintf("%s has as many bytes of requests and replies in the daemon as one peer may (max-buffered-per-peer)", peer)
	}
	return fmt.Sprintf("%s may run no command, and has as many bytes in the daemon as such a peer may", peer)
}

// exceededLimit returns the limit that n more bytes of a peer would exceed, or nil. It adds nothing to the counters, so bytes that are
// refused then keep no other peer out. Requests that are checked at the same time may together exceed a limit by their sizes.
// exceededLimit calls nothing only if the peer would have more than shareWithoutRights. nothing reports whether the peer may run no command;
// nil means that it may run some.
func (m *CommandMgr) exceededLimit(p *peer, n int64, nothing func() bool) *fullLimit {
	limits := m.limits.Load()
	held := p.buffered.Load() + n
	switch {
	case held > limits.MaxBufferedPerPeer:
		return &fullLimit{shareFull, limits.MaxBufferedPerPeer}
	case held-p.windows.Load() > shareWithoutRights && nothing != nil && nothing():
		return &fullLimit{noRightsFull, shareWithoutRights}
	case m.buffered.Load()+n > limits.MaxBuffered:
		return &fullLimit{totalFull, limits.MaxBuffered}
	}
	return nil
}

// noRoomLocked returns the limit for which the conn cannot hold n more bytes, or nil. The caller holds c.mu.
func (c *conn) noRoomLocked(n int) *fullLimit {
	full := c.m.exceededLimit(c.peer, 0, nil)
	if full != nil && c.owner && c.buffered+int64(n) <= ownerReserve {
		return nil
	}
	return full
}

// room implements replySink. The loop calls it before each command, so that a limit is exceeded by one reply at most.
func (c *conn) room(call *Call) *wire.Error {
	if c.m.exceededLimit(c.peer, 0, nil) == nil { // the usual case, without a lock
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.noRoomLocked(0); full != nil {
		return errFull(full, call.Peer)
	}
	return nil
}

// callBytes is the approximate size of a call without its arguments, in bytes.
const callBytes = 512

// held returns the number of bytes that the call holds until its handler has returned and its reply has been written. Decoded
// arguments count twice: as text, and as the value for the handler.
func (c *Call) held() int {
	own := callBytes
	if c.Command == nil { // the name is a copy of bytes of the request
		own += len(c.Name)
	}
	if c.rerr != nil { // so is the name of an unknown member
		for _, f := range c.rerr.Fields {
			own += len(f.Pointer)
		}
	}
	arguments := cap(c.Arguments)
	if arguments <= len(c.small) {
		return own
	}
	if c.input != nil {
		arguments *= 2
	}
	return own + arguments
}

// releaseHolder is called once by each holder of the call's memory. It returns the bytes that the last holder returns, and otherwise 0.
func (c *Call) releaseHolder() int {
	if c.holders.Add(-1) != 0 {
		return 0
	}
	return c.held()
}

// errFull returns the reply to a request that exceeds a limit on held bytes.
func errFull(f *fullLimit, peer transport.Peer) *wire.Error {
	return wire.Errorf(wire.CodeTooMany, "too-many-bytes", "%s: %d; read replies, send less at a time, or try again later", f.name(peer), f.bytes)
}

// allowsNothing reports whether the peer may run no command at all through this listener. It calls the Authorizer for each
// command, as list-commands does, and each time again, since the policy may change.
func (l *Listener) allowsNothing(peer transport.Peer) bool {
	call := &Call{Peer: peer, Via: l.config.Load(), Received: time.Now(), Listing: true, manager: l.m}
	for name, cmd := range *l.m.table.Load() {
		call.Name, call.Command, call.target = name, &cmd.Command, cmd
		if l.m.authorize(call) == nil {
			return false
		}
	}
	return true
}
