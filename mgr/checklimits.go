package mgr

import (
	"fmt"
)

// CameBy reports whether s accepted the conn of the call. It is false for a call of Process.
func (c *Call) CameBy(s *Listener) bool {
	on, ok := c.sink.(*conn)
	return ok && s != nil && on.listener == s
}

// CheckLimits returns an error if the peer of call could not connect to s again and send the same command, once next is in
// force; otherwise nil. The error names the limit. It counts the conns that the peer has open and the calls that it has in
// flight now; the new conn may replace the conn of call. Zero fields of next mean the defaults. The result is nil for a call
// of Process. CheckLimits does not block, and may be called from any goroutine while the handler of call runs.
func (m *CommandMgr) CheckLimits(call *Call, next Limits, s *Listener) error {
	own, ok := call.sink.(*conn)
	if !ok {
		return nil
	}
	next.fill()
	m.mu.Lock()
	conns, onListener := own.peer.conns, s.conns
	if own.owner && m.oldestIdleLocked(func(c *conn) bool {
		return c.peer == own.peer && (onListener < next.MaxConns || c.listener == s)
	}) != nil {
		conns, onListener = 0, 0 // the manager would close an idle conn for the new one
	}
	m.mu.Unlock()
	if own.listener == s {
		onListener-- // the new conn may replace this one
	}
	room := roomFor(next.MaxConns, own.owner)
	calls := own.peer.calls.Load()
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

// FrameSize returns the length of the request in bytes, or 0 for a call of Process.
func (c *Call) FrameSize() int { return c.size }
