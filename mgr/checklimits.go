package mgr

import (
	"fmt"
)

// CameBy reports whether the conn of a call was accepted by s.
func (c *Call) CameBy(s *Listener) bool {
	conn, ok := c.answer.(*conversation)
	return ok && s != nil && conn.listener == s
}

// CheckLimits returns an error that names the limit by which the peer of call could not connect to s and give the same
// command once next were in force, or nil. It counts what the peer has open and in flight now; the conn of call itself
// may be replaced by the new one. Zero fields of next mean the defaults. A call of Process passes. CheckLimits does not
// block, and may be called from any goroutine while the handler of call runs.
func (m *CommandMgr) CheckLimits(call *Call, next Limits, s *Listener) error {
	conn, ok := call.answer.(*conversation)
	if !ok {
		return nil
	}
	next.fill()
	m.mu.Lock()
	conns, onListener := conn.peer.conns, s.conns
	if conn.owner && m.oldestIdle(func(c *conversation) bool {
		return c.peer == conn.peer && (onListener < next.MaxConns || c.listener == s)
	}) != nil {
		conns, onListener = 0, 0 // an idle conn would be closed for the new one
	}
	m.mu.Unlock()
	if conn.listener == s {
		onListener-- // the new conn may take the place of this one
	}
	room := roomFor(next.MaxConns, conn.owner)
	calls := conn.peer.calls.Load()
	switch {
	case onListener >= room:
		return fmt.Errorf("max-conns: the listener has %d conns, and %s could not open one more", onListener, call.Peer)
	case conns > next.MaxConnsPerPeer:
		return fmt.Errorf("max-conns-per-peer: %s has %d conns open, and the limit would be %d", call.Peer, conns, next.MaxConnsPerPeer)
	case calls > int64(next.MaxInFlightPerPeer):
		return fmt.Errorf("max-in-flight-per-peer: %s has %d commands in flight, and the limit would be %d", call.Peer, calls, next.MaxInFlightPerPeer)
	case int64(call.size) > min(next.MaxBufferedPerPeer, next.MaxBuffered):
		return fmt.Errorf("max-buffered: the request that makes this change has %d bytes, and one peer may hold %d of %d", call.size, next.MaxBufferedPerPeer, next.MaxBuffered)
	}
	return nil
}

// FrameSize returns the length in bytes of the request of a call; 0 for a call of Process.
func (c *Call) FrameSize() int { return c.size }
