package mgr

import (
	"context"
	"errors"
	"io"
	"iter"
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
	own    *sender // of the goroutine that serves

	opened int64            // when, in nanoseconds of the epoch
	batch  []*Call          // what serve is about to hand to the loop
	heard  time.Time        // when that arrived
	ended  bool             // serve has heard the last request
	small  [smallFrame]byte // where a frame is received; of a short one its call has a copy

	mu       sync.Mutex
	changed  sync.Cond // a call has finished, or the last reply has been sent
	calls    []*Call   // in flight: accepted, and their handlers not finished
	owed     int       // of those, not answered
	answers  int64     // how many were given
	buffered int64     // bytes of requests in flight and of replies
	told     int64     // what of it the manager knows
	out      []*answer // encoded replies that wait to be sent
	spare    []*answer // the array of out that is being sent
	last     *answer   // the reply to the last request, until all others are in out
	sending  bool      // somebody sends what is in out
	awaited  int       // calls that serve waits for before it reads on
	settling bool      // serve will send what is in out, when nothing is awaited any more
	writing  bool      // it does so
	full     bool      // serve waits for room
	closing  bool      // serve sends the last words itself
}

// serve is the life of a conversation: the picture in the package comment, read downwards.
func (c *conversation) serve(own *sender) {
	c.own, own.lost = own, false
	for !c.ended {
		for call := range c.requests() { // bytes → frame → request
			if bad := c.admit(call); bad != nil { // authorization, check, limits
				call.refuse(bad)
				continue
			}
			c.batch = append(c.batch, call)
		}
		c.submit()       // record → queue → loop → handler → reply, which comes back in answered
		if !c.settle() { // reply → frame → bytes
			return
		}
	}
	c.close()
}

// requests returns the requests that have arrived, at least one and as many as there is room for,
// each as a call. It waits for the first only: those that came together are handed to the loop
// together. The first is received before there is room for it, so that a cancel is heard, and a
// departure noticed, while the window is full.
func (c *conversation) requests() iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		ctx := c.m.receiving
		var now time.Time
		for room := 1; room > 0; room-- {
			frame, err := c.conn.Receive(ctx, c.small[:0])
			if err != nil {
				if ctx != noWait || err != errNoWait { //nolint:errorlint // nothing wraps it, and this is the hot path
					c.sayNoMore(err)
				}
				return
			}
			if now.IsZero() {
				now = time.Now()
				c.heard = now
			}
			call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer(), Received: now, Via: c.socket.endpoint.Load()}
			if len(frame) <= smallFrame { // else it has an array of its own
				frame = append(call.small[:0], frame...)
			}
			call.decode(frame)
			if ctx != noWait {
				room = c.waitForRoom(call)
			}
			c.ended = call.id.IsZero()
			if !yield(call) || c.ended {
				return
			}
			ctx = noWait
		}
	}
}

// noWait is the context of a Receive that only asks whether there is more. It has ended since ever,
// which costs less to find out than of a context that was cancelled.
var noWait context.Context = endedContext{context.Background()}

type endedContext struct{ context.Context }

func (endedContext) Done() <-chan struct{} { return closedChannel }
func (endedContext) Err() error            { return errNoWait }

var closedChannel = func() chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}()

var errNoWait = errors.New("nothing more has arrived")

// decode makes a request of a frame, and a call of that.
func (c *Call) decode(frame []byte) {
	c.size = len(frame)
	request, bad := wire.Decoder{Name: c.manager.name}.Decode(frame)
	c.id, c.Name, c.Arguments, c.bad = request.ID, request.Command, request.Arguments, bad
	if bad != nil {
		return
	}
	c.target = c.manager.lookup(c.Name)
	if c.target != c.manager.unknown {
		c.Command = &c.target.Command
	}
	c.timeout = request.Timeout
}

// admit decides whether a call may go on, and decodes its arguments. A call that it admits has its
// place among those in flight.
func (c *conversation) admit(call *Call) *wire.Error {
	if call.bad != nil {
		return call.bad
	}
	if revoked(call.Peer) {
		c.ended = true
		return errRevoked
	}
	if !c.peer.mayCall(call.Received) {
		return wire.Errorf(wire.CodeTooMany, "", "more than %d commands per second from %s; try again later", c.m.limits.Load().MaxRate, call.Peer)
	}
	if bad := c.m.check(call); bad != nil {
		return bad
	}
	if bad := c.enter(call); bad != nil {
		return bad
	}
	call.bind(c.conn.Context())
	return nil
}

// enter gives a call a place among those in flight.
func (c *conversation) enter(call *Call) *wire.Error {
	most := c.m.limits.Load().MaxBuffered
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.m.buffered.Load() > most, c.buffered > most/4:
		return wire.Errorf(wire.CodeTooMany, "", "too many bytes are waiting; read replies and try again")
	case !call.id.IsZero() && c.find(call.id) != nil:
		return wire.Errorf(wire.CodeConflict, "id-in-use", "the id %s is in use; wait for its reply or take another", call.id)
	}
	if !c.peer.enter() {
		return wire.Errorf(wire.CodeTooMany, "", "%s has %d commands in flight, as many as one peer may; wait for replies", call.Peer, c.m.limits.Load().MaxInFlightPerPeer)
	}
	c.calls = append(c.calls, call)
	c.owed++
	c.hold(call.size)
	call.entered = true
	if !call.target.Async && !call.target.critical {
		call.awaited = true
		c.awaited++
	}
	return nil
}

// submit hands the batch to where its commands run, once what may change something is on record.
func (c *conversation) submit() {
	batch := c.batch
	if bad := c.m.begin(batch); bad != nil {
		batch = slices.DeleteFunc(batch, func(call *Call) bool {
			if call.changes() {
				call.refuse(bad)
			}
			return call.changes()
		})
	}
	rejected, why := c.m.accept(batch...)
	for _, call := range rejected {
		call.refuse(why)
	}
	clear(c.batch)
	c.batch = c.batch[:0]
}

// sayNoMore ends a conversation whose peer will say no more, or nothing that can be understood.
func (c *conversation) sayNoMore(err error) {
	c.ended = true
	if c.m.receiving.Err() != nil || errors.Is(err, io.EOF) || c.conn.Context().Err() != nil {
		return
	}
	if bad, ok := errors.AsType[*transport.FrameError](err); ok {
		call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer(), Via: c.socket.endpoint.Load(), Received: time.Now()}
		call.refuse(frameError(bad))
		return
	}
	c.m.log.Debug("cannot receive", "peer", c.conn.Peer().String(), "error", err)
}
