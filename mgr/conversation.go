package mgr

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A conversation is one conn and what is said on it.
//
// A request without an id is the last one (Kea's contract): it is answered after all replies owed
// before it, and the conn closes. Requests with ids may be many at a time, up to a window; beyond it
// nobody reads, which slows their sender down.
//
// Its flags stand together and its counters are short, since an idle conn costs what its fields take: 320 bytes
// (TestIdleConnIsSmall).
type conversation struct {
	m        *CommandMgr
	conn     transport.Conn
	peer     *peer
	listener *Listener
	own      *speaker // of the goroutine that serves, while it takes a turn

	opened int64                                     // when, in nanoseconds of the epoch
	hear   func(frame []byte, err error) (goOn bool) // turn, bound once and not for each Hear
	wake   func()                                    // has it served again
	killed atomic.Pointer[wire.Error]                // why the conn was closed by kill; nil: it was not
	why    atomic.Pointer[wire.Error]                // why the conn is closed before its last request; nil: it is not

	owner    bool // it is the owner's
	reserved bool // it has a descriptor of the reserve
	evicted  bool // it is being closed for another conn of the owner; m.mu guards it
	ended    bool // the last request has been heard; only the goroutine that serves touches it

	// Guarded by mu, as all that follows.
	settled  bool  // all of buffered has been returned, since the conn is closed
	sending  bool  // somebody sends what is in out
	settling bool  // serve will send what is in out, when nothing is awaited any more
	writing  bool  // it does so
	full     bool  // serve waits for room
	closing  bool  // serve sends the last words itself
	owed     int32 // of the calls in flight, those that are not answered
	awaited  int32 // calls that serve waits for before it reads on

	mu       sync.Mutex
	changed  sync.Cond // a call has finished, or the last reply has been sent
	calls    []*Call   // in flight: accepted, and their handlers not finished
	answers  int64     // how many were given
	buffered int64     // bytes of requests in flight and of replies
	told     int64     // what of it the manager knows
	out      []*answer // encoded replies that wait to be sent
	spare    []*answer // the array of out that is being sent
	last     *answer   // the reply to the last request, until all others are in out
	by       *sender   // who settles or writes, or did last
	one      struct {  // the first arrays of calls, out and spare, since most conns have one call at a time
		call       [1]*Call
		out, spare [1]*answer
	}
}

// serve is the life of a conversation, or the part of it that one goroutine has. It reports whether the peer has
// fallen silent, and another may have the rest.
func (c *conversation) serve() (quiet bool) {
	for !c.ended && !quiet {
		if quiet = c.listen(); !c.deliver() {
			return false
		}
	}
	if !quiet {
		c.close()
	}
	c.giveBack()
	return quiet
}

// listen waits for frames and takes a turn when some have come: again and again, where the conn can have that, until
// something must be waited for, or the peer has been quiet for a while.
func (c *conversation) listen() (quiet bool) {
	if conn, ok := c.conn.(transport.Hearer); ok {
		return conn.Hear(c.listener.readCtx, c.hear)
	}
	own := c.speaker()
	frame, err := c.conn.Receive(c.listener.readCtx, own.scratch[:0])
	own.keep(frame)
	c.turn(frame, err)
	return false
}

// turn is the picture in the package comment, read downwards. It reports whether all of it has been done, and the
// next may come.
func (c *conversation) turn(frame []byte, err error) (goOn bool) {
	for call := range c.requests(frame, err) { // bytes → frame → request
		if bad := c.admit(call); bad != nil { // authorization, check, limits
			call.refuse(bad)
			continue
		}
		c.own.batch = append(c.own.batch, call)
	}
	c.submit()        // record → queue → loop → handler → reply, which comes back in answered
	goOn = c.settle() // reply → frame → bytes
	if goOn {
		c.giveBack()
	}
	return goOn
}

// requests returns the requests that have arrived, at least one and as many as there is room for,
// each as a call. Those that came together are handed to the loop together. The first is received before there is
// room for it, so that a cancel is heard, and a departure noticed, while the window is full.
func (c *conversation) requests(frame []byte, err error) iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		own := c.speaker()
		own.heard = time.Now()
		for room := 0; ; room-- {
			if err != nil {
				if err != errNoWait { //nolint:errorlint // nothing wraps it, and this is the hot path
					c.sayNoMore(err)
				}
				return
			}
			call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer(), Received: own.heard, Via: c.listener.config.Load()}
			call.decode(frame)
			if room == 0 {
				room = c.waitForRoom(call)
			}
			c.ended = call.id.IsZero()
			if !yield(call) || c.ended || room == 1 {
				return
			}
			frame, err = c.conn.Receive(noWait, own.scratch[:0])
			own.keep(frame)
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

// decode makes a request of a frame, and a call of that. What of the frame the call needs it has a copy of.
func (c *Call) decode(frame []byte) {
	c.size = len(frame)
	request, bad := wire.Decoder{Name: c.find}.Decode(frame)
	c.id, c.Name, c.bad = request.ID, request.Command, bad
	switch n := len(request.Arguments); {
	case request.Arguments == nil:
	case n <= len(c.small):
		c.Arguments = append(c.small[:0:n], request.Arguments...)
	default:
		c.Arguments = slices.Clone(request.Arguments)
	}
	if bad != nil {
		return
	}
	if c.target == nil || c.target.Name != c.Name {
		c.target = c.manager.lookup(c.Name)
	}
	if c.target != c.manager.unknown {
		c.Command = &c.target.Command
	}
	c.patience(request.Timeout)
}

// find returns a command's name, without making a new string of it if there is such a command, which it notes.
func (c *Call) find(name []byte) string {
	if target, ok := (*c.manager.table.Load())[string(name)]; ok {
		c.target = target
		return target.Name
	}
	return string(name)
}

// admit decides whether a call may go on, and decodes its arguments. A call that it admits has its
// place among those in flight.
func (c *conversation) admit(call *Call) *wire.Error {
	if call.bad != nil {
		return call.bad
	}
	if why := c.killed.Load(); why != nil {
		c.ended = true
		return why
	}
	if revoked(call.Peer) {
		c.ended = true
		c.why.Store(errRevoked)
		return errRevoked
	}
	if !c.peer.mayCall(call.Received) {
		return wire.Errorf(wire.CodeTooMany, "", "more than %d commands per second from %s; try again later", c.m.limits.Load().MaxRate, call.Peer)
	}
	if bad := c.m.check(call); bad != nil {
		return bad
	}
	call.bind(c.conn.Context())
	return c.enter(call)
}

// enter gives a call a place among those in flight.
func (c *conversation) enter(call *Call) *wire.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := c.noRoom(call.held()); full != nil {
		return errFull(full, call.Peer)
	}
	switch {
	case !call.id.IsZero() && c.find(call.id) != nil:
		return wire.Errorf(wire.CodeConflict, "id-in-use", "the id %s is in use; wait for its reply or take another", call.id)
	}
	if !c.peer.enter() {
		return wire.Errorf(wire.CodeTooMany, "", "%s has %d commands in flight, as many as one peer may; wait for replies", call.Peer, c.m.limits.Load().MaxInFlightPerPeer)
	}
	c.calls = append(c.calls, call)
	c.owed++
	call.holders.Store(2)
	c.hold(call.held())
	call.entered = true
	if !call.target.Async && !call.target.critical {
		call.awaited = true
		c.awaited++
	}
	return nil
}

// submit hands the batch to where its commands run, once what may change something is on record.
func (c *conversation) submit() {
	batch := c.own.batch
	if bad := c.record(batch); bad != nil {
		batch = slices.DeleteFunc(batch, func(call *Call) bool {
			if call.changes() {
				call.refuse(bad)
			}
			return call.changes()
		})
	}
	for _, call := range batch {
		call.publish()
	}
	if why := c.killed.Load(); why != nil { // kill may have run before they were published
		for _, call := range batch {
			call.drop(why, false)
		}
	}
	rejected, why := c.accept(batch)
	if why != nil && isShuttingDown(why) {
		c.why.Store(why)
	}
	for _, call := range rejected {
		call.refuse(why)
	}
	clear(c.own.batch)
	c.own.batch = c.own.batch[:0]
}

// accept hands the batch to where its commands run, unless the drain of the listener or of the manager has begun. It
// returns the calls that it could not hand over, and why.
func (c *conversation) accept(batch []*Call) (rejected []*Call, why *wire.Error) {
	if draining := c.listener.refusal(); draining != nil {
		return batch, draining
	}
	return c.m.place(batch...)
}

// record puts what may change something on record.
func (c *conversation) record(batch []*Call) *wire.Error {
	if c.m.opts.Recorder == nil {
		return nil
	}
	c.own.begin(c, recording, stallTimeout)
	defer c.own.end()
	return c.m.begin(batch)
}

// sayNoMore ends a conversation whose peer will say no more, or nothing that can be understood.
func (c *conversation) sayNoMore(err error) {
	c.ended = true
	if draining := c.listener.refusal(); draining != nil {
		c.why.Store(draining)
		return
	}
	if errors.Is(err, io.EOF) || c.conn.Context().Err() != nil {
		return
	}
	if bad, ok := errors.AsType[*transport.FrameError](err); ok {
		call := &Call{manager: c.m, answer: c, Peer: c.conn.Peer(), Via: c.listener.config.Load(), Received: time.Now()}
		call.refuse(frameError(bad))
		return
	}
	if c.m.log.Enabled(c.m.background, slog.LevelDebug) && c.m.refusals.Allow(c.conn.Peer().String()) {
		c.m.log.Debug("cannot receive", "peer", c.conn.Peer().String(), "error", err)
	}
}
