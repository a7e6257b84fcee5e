package mgr

import (
	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// The owner can always connect, to repair the daemon. Three limits could keep it out: the conns of a listener, the conns of
// a peer, and the descriptors of the process. If other peers reach a limit, the last place of each listener and the reserve
// of descriptors are kept for the owner. If the owner's own conns reach it, its oldest idle conn is closed for the new one.

var errEvicted = tooManyConns("this conn was idle, and it was closed for a newer conn of the same owner")

// connLimitLocked returns the error for a conn that exceeds a limit, and a filter for the conns of which one must be closed so that
// the new one fits. full is nil if the conn fits. m.mu is held.
func (m *CommandMgr) connLimitLocked(s *Listener, p *peer, owner, reserved bool) (full *wire.Error, among func(*conn) bool) {
	limits := m.limits.Load()
	switch {
	case reserved && !owner:
		return tooManyConns("the process has few descriptors left, and they are kept for its owner; try again later"), nil
	case reserved && m.reserved >= descriptors.OwnerShare():
		return tooManyConns("the process has few descriptors left; close some conns"), func(c *conn) bool { return c.reserved }
	case s.conns >= roomFor(limits.MaxConns, owner):
		return tooManyConns("this listener has as many conns as it may; close some, or try again later"), func(c *conn) bool { return c.owner && c.listener == s }
	case p.conns >= limits.MaxConnsPerPeer:
		return tooManyConns(p.name + " has as many conns as one peer may; close some"), func(c *conn) bool { return c.peer == p }
	}
	return nil, nil
}

// evictIdleLocked returns the oldest idle conn that among accepts, and marks it, so that no later call returns it. It returns nil
// if there is none. m.mu is held.
func (m *CommandMgr) evictIdleLocked(among func(*conn) bool) *conn {
	c := m.oldestIdleLocked(among)
	if c != nil {
		c.evicted = true
	}
	return c
}

// oldestIdleLocked returns the oldest conn that among accepts, that has no call in flight and no reply to write; or nil. m.mu is
// held.
func (m *CommandMgr) oldestIdleLocked(among func(*conn) bool) (oldest *conn) {
	for c := range m.conns {
		if !c.evicted && among(c) && (oldest == nil || c.opened < oldest.opened) && c.idle() {
			oldest = c
		}
	}
	return oldest
}

// idle reports whether the conn has no call in flight and no reply to write. It does not block: a conn whose lock is held
// counts as busy.
func (c *conn) idle() bool {
	if !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	return len(c.calls) == 0 && !c.owesLocked() && c.state != stateClosing && c.state != stateClosed
}

// inReserve reports whether a conn has one of the descriptors that the process keeps for its owner. A conn reports it with a
// method InReserve, as transport.Stream does.
func inReserve(conn transport.Conn) bool {
	c, ok := conn.(interface{ InReserve() bool })
	return ok && c.InReserve()
}
