package mgr

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A conversation is one conn and what is said on it.
//
// A request without an id is the last one (Kea's contract): it is answered after all replies owed
// before it, and the conn closes. Requests with ids may be many at a time, up to a window; beyond it
// nobody reads, which slows their sender down.
type conversation struct {
	m      *CommandMgr
	conn   transport.Conn
	peer   *peer
	socket *Socket

	mu       sync.Mutex
	changed  sync.Cond // a call has finished, or the last reply has been sent
	calls    []*Call   // in flight: accepted, and their handlers not finished
	owed     int       // requests that have not been answered
	buffered int64     // bytes of requests and replies
	out      []*answer // encoded replies that wait to be sent
	spare    []*answer // the array of out that is being sent
	last     *answer   // the reply to the last request, until all others are in out
	sending  bool      // a sender has this conversation
}

// serve is the life of a conversation: the picture in the package comment, read downwards.
func (c *conversation) serve() {
	defer c.close()
	for {
		c.waitForRoom()
		call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer()}
		frame, err := c.conn.Receive(c.m.receiving, call.small[:0]) // bytes → frame
		if err != nil {
			c.sayNoMore(err)
			return
		}
		bad := c.read(call, frame) // frame → request
		if bad == nil {
			bad = c.admit(call) // authorization, limits, check
		}
		if bad == nil {
			bad = c.m.accept(call) // queue → loop → handler → reply, which comes back in answered
		}
		if bad != nil {
			c.refuse(call, bad)
		}
		if call.id.IsZero() {
			c.watch(call)
			return
		}
	}
}

// watch notices when the peer of a last request leaves while its command runs beside the loop, so
// that it does not work for nobody. What the peer says meanwhile is not heard.
func (c *conversation) watch(call *Call) {
	if call.cancel == nil {
		return
	}
	var err error
	for err == nil {
		_, err = c.conn.Receive(call.ctx, nil)
	}
}

// read makes a call of a frame.
func (c *conversation) read(call *Call, frame []byte) *wire.Error {
	call.Received = time.Now()
	call.size = len(frame)
	c.hold(len(frame), +1)
	request, bad := wire.DecodeRequest(frame)
	call.id, call.Name, call.Arguments = request.ID, request.Command, request.Arguments
	if bad != nil {
		return bad
	}
	call.target = c.m.lookup(call.Name)
	if call.target != c.m.unknown {
		call.Command = &call.target.Command
		call.Name = call.Command.Name
	}
	call.bind(c.conn.Context(), request.Timeout)
	return nil
}

// admit decides whether a call may go on, and decodes its arguments. A call that it admits has its
// place among those in flight.
func (c *conversation) admit(call *Call) *wire.Error {
	if c.tooMuch() {
		return wire.Errorf(wire.CodeTooMany, "", "too many bytes are waiting; read replies and try again")
	}
	if !c.peer.mayCall(call.Received) {
		return wire.Errorf(wire.CodeTooMany, "", "more than %d commands per second from %s; try again later", c.m.opts.MaxRate, call.Peer)
	}
	if bad := c.m.check(call); bad != nil {
		return bad
	}
	if !c.enter(call) {
		return wire.Errorf(wire.CodeConflict, "id-in-use", "the id %s is in use; wait for its reply or take another", call.id)
	}
	return nil
}

// sayNoMore ends a conversation whose peer will say no more, or nothing that can be understood.
func (c *conversation) sayNoMore(err error) {
	if c.m.receiving.Err() != nil || errors.Is(err, io.EOF) || c.conn.Context().Err() != nil {
		return
	}
	if bad, ok := errors.AsType[*transport.FrameError](err); ok {
		call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer(), Received: time.Now()}
		c.hold(0, +1)
		c.refuse(call, frameError(bad))
		return
	}
	c.m.log.Debug("cannot receive", "peer", c.conn.Peer().String(), "error", err)
}

// refuse answers a call that was not accepted.
func (c *conversation) refuse(call *Call, why *wire.Error) {
	if call.state.CompareAndSwap(waiting, answered) {
		c.answered(call, wire.Failure(why))
	}
	call.finish()
}

// waitForRoom waits until another call fits into the window.
func (c *conversation) waitForRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.calls) >= c.m.opts.MaxInFlight {
		c.changed.Wait()
	}
}

// enter gives a call a place among those in flight, unless its id has one.
func (c *conversation) enter(call *Call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !call.id.IsZero() && c.find(call.id) != nil {
		return false
	}
	c.calls = append(c.calls, call)
	return true
}

// find returns the call in flight that has the id. c.mu is held.
func (c *conversation) find(id wire.ID) *Call {
	for _, call := range c.calls {
		if call.id == id {
			return call
		}
	}
	return nil
}

// finished implements answerer.
func (c *conversation) finished(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.calls, call); i >= 0 {
		c.calls = slices.Delete(c.calls, i, i+1)
		c.changed.Broadcast()
	}
}

// hold counts n more bytes and answers that are owed.
func (c *conversation) hold(n, answers int) {
	c.mu.Lock()
	c.buffered += int64(n)
	c.owed += answers
	c.mu.Unlock()
	c.m.buffered.Add(int64(n))
}

// tooMuch reports whether a limit on buffered bytes is reached.
func (c *conversation) tooMuch() bool {
	most := c.m.opts.MaxBuffered
	if c.m.buffered.Load() > most {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buffered > most/4 && c.owed > 1
}

// close waits until everything that is owed has been sent, or cannot be, and closes the conn.
func (c *conversation) close() {
	stop := context.AfterFunc(c.conn.Context(), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	for (c.owed > 0 || len(c.out) > 0 || c.sending) && c.conn.Context().Err() == nil {
		c.changed.Wait()
	}
	c.mu.Unlock()
	_ = c.conn.Close()
	c.mu.Lock()
	for c.owed > 0 || c.sending { // calls of a peer that left end soon: they are dropped or cancelled
		c.changed.Wait()
	}
	held := c.buffered
	c.buffered = 0
	c.mu.Unlock()
	c.m.buffered.Add(-held)
	c.m.leave(c)
}
