package mgr

import (
	"fmt"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// What peers make the daemon hold is counted twice: for all together (CommandMgr.buffered, at most MaxBuffered),
// and for each peer (peer.buffered, at most its share). Transports book the bytes of frames that are not whole,
// in accounts; conversations count requests in flight and replies that are not sent, in whole pages (hold).

const (
	// smallShare is what all conns of a peer hold together that the policy allows nothing.
	smallShare = 64 << 10

	// ownersOwn is what each conn of the owner may hold though all shares are full, so that the owner can put things
	// right. It is part of the amount for each conn that PROTOCOL.md states.
	ownersOwn = 64 << 10
)

// A listenerMemory is transport.Memory for the conns of a listener.
type listenerMemory struct{ listener *Listener }

// OpenAccount implements transport.Memory.
func (s listenerMemory) OpenAccount(peer transport.Peer) transport.MemoryAccount {
	return &account{listener: s.listener, owner: isOwner(peer), peer: peer, of: s.listener.m.peerFor(peer)}
}

// peerFor returns what the manager knows of a peer, and keeps it until releasePeer.
func (m *CommandMgr) peerFor(of transport.Peer) *peer {
	name := of.String()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[name]
	if p == nil {
		p = m.newPeer(name)
	}
	p.accounts++
	return p
}

func (m *CommandMgr) releasePeer(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.accounts--
	m.forgetUnused(p)
}

// An account is what a conn of a peer has booked for frames that are not whole.
type account struct {
	listener *Listener
	peer     transport.Peer
	owner    bool
	of       *peer

	mu     sync.Mutex
	booked int64
	window int64 // of booked: by ReserveWindow
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
	full := m.full(a.of, int64(n), func() bool { return a.listener.allowsNothing(a.peer) })
	if full != nil && (!a.owner || a.booked+int64(n) > ownersOwn) {
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

// addBuffered counts n more bytes that a peer makes the daemon hold; n may be negative.
func (m *CommandMgr) addBuffered(p *peer, n int64) {
	p.buffered.Add(n)
	m.buffered.Add(n)
}

// A fullLimit is a limit on held bytes that is exceeded.
type fullLimit struct {
	kind  fullKind
	bytes int64
}

type fullKind uint8

const (
	totalFull  fullKind = iota // MaxBuffered
	shareFull                  // MaxBufferedPerPeer
	nobodyFull                 // smallShare
)

// name says which limit it is.
func (f *fullLimit) name(peer transport.Peer) string {
	switch f.kind {
	case totalFull:
		return "all peers together have as many bytes of requests and replies in the daemon as they may (max-buffered)"
	case shareFull:
		return fmt.Sprintf("%s has as many bytes of requests and replies in the daemon as one peer may (max-buffered-per-peer)", peer)
	}
	return fmt.Sprintf("%s may run no command, and has as many bytes in the daemon as such a peer may", peer)
}

// full returns the limit that would be exceeded by what is held now and n bytes more; nil: none. It books nothing, so that
// bytes which are then refused keep no other peer out; requests that ask at the same time may exceed a limit together,
// by what they ask for. nothing is asked only for a peer that holds
// more than a peer may that may do nothing; nil: this one may do something.
func (m *CommandMgr) full(p *peer, n int64, nothing func() bool) *fullLimit {
	limits := m.limits.Load()
	held := p.buffered.Load() + n
	switch {
	case held > limits.MaxBufferedPerPeer:
		return &fullLimit{shareFull, limits.MaxBufferedPerPeer}
	case held-p.windows.Load() > smallShare && nothing != nil && nothing():
		return &fullLimit{nobodyFull, smallShare}
	case m.buffered.Load()+n > limits.MaxBuffered:
		return &fullLimit{totalFull, limits.MaxBuffered}
	}
	return nil
}

// noRoom returns the limit that keeps the conn from holding n bytes more; nil: none. c.mu is held.
func (c *conversation) noRoom(n int) *fullLimit {
	full := c.m.full(c.peer, 0, nil)
	if full != nil && c.owner && c.buffered+int64(n) <= ownersOwn {
		return nil
	}
	return full
}

// room implements answerer. The loop asks between two commands, so that what is held exceeds a limit by one reply.
func (c *conversation) room(call *Call) *wire.Error {
	if c.m.full(c.peer, 0, nil) == nil { // nearly always, and without a lock
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.noRoom(0); full != nil {
		return errFull(full, call.Peer)
	}
	return nil
}

// callBytes is about what a call needs beside its arguments.
const callBytes = 512

// held is how many bytes the call holds until its handler has returned and its reply has been sent. Arguments that were
// decoded count twice: as text, and as what the handler gets.
func (c *Call) held() int {
	own := callBytes
	if c.Command == nil { // the name is a copy of what the peer sent
		own += len(c.Name)
	}
	if c.bad != nil { // so is the name of an unknown member
		for _, f := range c.bad.Fields {
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

// letGo is called once by each holder of the call's memory. It returns how many bytes the last one gives back.
func (c *Call) letGo() int {
	if c.holders.Add(-1) != 0 {
		return 0
	}
	return c.held()
}

// errFull is the answer to a request for which there is no room.
func errFull(f *fullLimit, peer transport.Peer) *wire.Error {
	return wire.Errorf(wire.CodeTooMany, "too-many-bytes", "%s: %d; read replies, send less at a time, or try again later", f.name(peer), f.bytes)
}

// allowsNothing reports whether there is no command that a peer may run here, with whatever arguments. It asks the
// Authorizer as list-commands does, each time anew, since the policy may change.
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
