package mgr

import (
	"cmp"
	"context"
	"slices"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// waitForRoom waits until a call fits into the window, and returns how many do. Replies that their
// peer does not take fill it as calls do. A cancel has a place of its own.
func (c *conversation) waitForRoom(call *Call) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		most := c.m.limits.Load().MaxInFlight
		if call.Name == cancelName {
			most++
		}
		if c.full = len(c.calls) >= most || len(c.out) >= most; !c.full {
			c.settling, c.by = !c.sending && c.awaited == 0, &c.own.sender
			return most - len(c.calls)
		}
		c.changed.Wait()
	}
}

// find returns the call that has the id and has not been answered. c.mu is held.
func (c *conversation) find(id wire.ID) *Call {
	for _, call := range c.calls {
		if call.id == id && call.state.Load() != answered {
			return call
		}
	}
	return nil
}

// finished implements answerer.
func (c *conversation) finished(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(call)
}

// leave gives a call's place to another. c.mu is held.
func (c *conversation) leave(call *Call) {
	i := slices.Index(c.calls, call) // most often the first
	if i < 0 {
		return
	}
	if c.full {
		c.changed.Broadcast()
	}
	last := len(c.calls) - 1
	c.calls[i], c.calls[last] = c.calls[last], nil
	c.calls = c.calls[:last]
	c.peer.leave()
	c.hold(-call.letGo())
}

// hold counts n more bytes. The manager is told of whole pages only, so that small talk on many
// conns does not meet in one counter. c.mu is held.
func (c *conversation) hold(n int) {
	const page = 16 << 10
	if c.settled {
		return
	}
	c.buffered += int64(n)
	if d := c.buffered - c.told; d > page || d < -page || c.buffered == 0 && d != 0 {
		c.told = c.buffered
		c.m.addBuffered(c.peer, d)
	}
}

// watch notices when the peer leaves while its last commands run beside the loop, so that they do
// not work for nobody. What the peer says meanwhile is not heard.
func (c *conversation) watch() {
	for call := c.cancellable(); call != nil; call = c.cancellable() {
		if _, err := c.conn.Receive(call.ending.ctx, nil); err != nil && call.ending.ctx.Err() == nil {
			return
		}
	}
}

// cancellable returns a call whose context somebody's departure would end before its time.
func (c *conversation) cancellable() *Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if call.ending != nil && call.ending.ctx.Err() == nil {
			return call
		}
	}
	return nil
}

// close waits until everything that is owed has been sent, or cannot be, and closes the conn. The
// last words need no sender: whoever waits for them here sends them.
func (c *conversation) close() {
	c.watch()
	gone := c.conn.Context()
	if c.cancellable() != nil { // who has left ends it
		stop := context.AfterFunc(gone, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.changed.Broadcast()
		})
		defer stop()
	}
	c.mu.Lock()
	c.closing = true
	for c.owes() && gone.Err() == nil {
		c.sayOrWait()
	}
	c.mu.Unlock()
	c.closeConn()
	c.mu.Lock()
	for c.owes() { // calls of a peer that left end soon: they are dropped or cancelled
		c.sayOrWait()
	}
	c.hold(int(-c.buffered))
	c.settled = true
	c.mu.Unlock()
	c.m.leave(c)
}

// closeConn closes the conn. The peer is told why, if there is a reason other than its last request.
func (c *conversation) closeConn() {
	closeFor(c.conn, cmp.Or(c.killed.Load(), c.why.Load()))
}

// closeFor closes a conn because of an error, and tells the peer that error where the transport can; nil: nothing was wrong.
func closeFor(conn transport.Conn, why *wire.Error) {
	switch {
	case why == nil:
		_ = conn.Close()
	case isShuttingDown(why):
		_ = transport.CloseWithReason(conn, transport.CloseReason{Code: transport.GoingAway, Text: why.Text})
	default:
		_ = transport.CloseWithReason(conn, transport.CloseReason{Code: transport.PolicyViolation, Text: why.Text})
	}
}

// isShuttingDown reports whether an error says that no more commands are taken. A conn too many has the same code, and
// another word.
func isShuttingDown(why *wire.Error) bool {
	return why.Is(&wire.Error{Code: wire.CodeShuttingDown, Word: wire.CodeShuttingDown.String()})
}

// owes reports whether the peer has not been told everything. c.mu is held.
func (c *conversation) owes() bool { return c.owed > 0 || c.sending || len(c.out) > 0 }

// sayOrWait sends what is there to be sent, or waits for a change. c.mu is held, but not meanwhile.
func (c *conversation) sayOrWait() {
	if c.sending || len(c.out) == 0 {
		c.changed.Wait()
		return
	}
	c.sending = true
	batch := c.takeOut()
	c.mu.Unlock()
	c.flush(&c.speaker().sender, batch)
	c.mu.Lock()
}
