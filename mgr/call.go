package mgr

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Call is one command as one peer asked for it. Authorizers, hooks and handlers read it; nobody
// changes it but for Record. Its bytes are valid as long as it is.
type Call struct {
	Name      string          // as the caller wrote it
	Command   *Command        // what it names; nil: there is no such command
	Arguments wire.Value      // as the caller wrote them; nil: none
	Peer      transport.Peer  // who asks
	Received  time.Time       // when
	Via       *ListenerConfig // through which way in, with its Name; nil: the daemon itself asks (Process)

	// Record is what a Recorder's Begin notes for its End.
	Record uint64

	// Listing says that the question is only whether there are arguments with which the caller may
	// run the command, as for list-commands; an Authorizer then leaves the arguments alone.
	Listing bool

	onLoop  bool
	entered bool // it has a place among those in flight
	awaited bool // serve may wait for its answer
	refused bool // no handler has seen it; only the goroutine that answers it accesses this
	state   atomic.Uint32
	id      wire.ID
	bad     *wire.Error // why it is no request
	target  *registered
	input   any // the decoded arguments, for Func's handler
	manager *CommandMgr
	parent  context.Context // whose end is the call's
	ending  *ending         // nil where nothing else can end it
	size    int             // bytes of the frame
	holders atomic.Int32    // of its memory: the handler, until it has returned, and the reply, until it is sent
	answer  answerer
	hold    hold     // of the loop, if it runs there
	small   [48]byte // the arguments, when they are short
}

// An ending is how a call can end before its conn does.
type ending struct {
	timeout time.Duration // the caller's patience; 0: endless
	ctx     context.Context
	cancel  context.CancelCauseFunc
	patient *time.Timer // rings when it is at its end; nil: it is endless
}

// An answerer is where a call's reply goes.
type answerer interface {
	// answered is called once for each call: on the loop for a command that runs there, elsewhere
	// for others. finished says that the handler has returned or will never run.
	answered(call *Call, reply wire.Reply, finished bool)
	// finished is called when that came later than the answer.
	finished(call *Call)
	// room is asked before the handler runs. It returns the answer when there is no room for another reply.
	room(call *Call) *wire.Error
}

// The states of a call. A call is constructed, bound and recorded by one goroutine before it is published. From then on
// any goroutine may answer it. Its state is all that is written then, and `refused` by the goroutine that answers it.
//
//	from      to        when                                                   by
//	admitted  waiting   it was recorded (publish)                              reader, or the caller of Process
//	admitted  answered  it was refused: limits, a Recorder that fails (refuse)  reader
//	waiting   running   its turn came (run)                                    loop, or its own goroutine if Async
//	waiting   answered  cancel, timeout, departure, kill, a full queue (drop)  any
//	running   answered  its handler returned (work), or its timeout (expire)   the handler's goroutine; the timer
const (
	admitted = iota // only the goroutine that made it knows it: it can be refused, not cancelled
	waiting         // it may still be dropped
	running         // its handler runs
	answered        // it has been answered; the reply of a handler that still runs is discarded
)

// CallOf returns the call whose handler was given ctx.
func CallOf(ctx context.Context) (*Call, bool) {
	call, ok := ctx.Value(callKey{}).(*Call)
	return call, ok
}

// LogValue implements slog.LogValuer: who asked for what, never the arguments.
func (c *Call) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", c.Peer.String()), slog.String("command", c.shown()))
}

type callKey struct{}

// A callContext is a call as a context: its parent, that knows the call.
type callContext Call

func (c *callContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }
func (c *callContext) Done() <-chan struct{}       { return c.parent.Done() }
func (c *callContext) Err() error                  { return c.parent.Err() }

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return (*Call)(c)
	}
	return c.parent.Value(key)
}

// context is the call's.
func (c *Call) context() context.Context {
	if c.ending != nil {
		return c.ending.ctx
	}
	return (*callContext)(c)
}

var (
	errCancelled = errors.New("cancelled by its caller")
	errImpatient = errors.New("it took longer than the caller would wait")
)

// patience makes the call end after that.
func (c *Call) patience(timeout time.Duration) {
	if timeout > 0 {
		c.ending = &ending{timeout: timeout}
	}
}

// bind gives the call its context. One that can be ended by itself costs more, so only those get one
// that have a deadline or run beside the loop. The call is not published yet.
func (c *Call) bind(parent context.Context) {
	c.parent = parent
	c.onLoop = !c.target.Async
	if c.target.Async && c.ending == nil {
		c.ending = &ending{}
	}
	if c.ending == nil {
		return
	}
	c.ending.ctx, c.ending.cancel = context.WithCancelCause((*callContext)(c))
	if c.ending.timeout > 0 {
		c.ending.patient = newTimer(c.expire)
	}
}

// newTimer returns a timer that calls f and has not been started.
func newTimer(f func()) *time.Timer {
	timer := time.AfterFunc(time.Hour, f)
	timer.Stop()
	return timer
}

// publish makes the call known to cancel, to its timeout and to kill. It is called once, when the call is bound and
// on record: so no reply to it is recorded before the call itself. The timeout counts from the arrival of the request.
func (c *Call) publish() {
	c.state.Store(waiting)
	if c.ending == nil || c.ending.patient == nil {
		return
	}
	if left := c.ending.timeout - time.Since(c.Received); left > 0 {
		c.ending.patient.Reset(left)
	} else {
		c.expire()
	}
}

// expire answers a call that its caller no longer waits for.
func (c *Call) expire() {
	c.drop(wire.Errorf(wire.CodeTimeout, "", "'%s' took longer than the %s its caller would wait", wire.Shorten(c.Name), c.ending.timeout), true)
	c.ending.cancel(errImpatient) // after the answer: the handler has no better one
}

// drop answers a call without its handler: one that waits, or, if abandon is set, one that runs too.
// It reports whether that came before any other answer.
func (c *Call) drop(why *wire.Error, abandon bool) bool {
	switch {
	case c.state.CompareAndSwap(waiting, answered):
		c.refused = true
	case !abandon || !c.state.CompareAndSwap(running, answered):
		return false
	}
	c.answer.answered(c, wire.Failure(why), false)
	if c.target.critical {
		c.manager.queue.giveUp(c)
	}
	return true
}

// refuse answers a call that will not run, if it has not been answered before.
func (c *Call) refuse(why *wire.Error) {
	defer c.release()
	if c.state.CompareAndSwap(admitted, answered) || c.state.CompareAndSwap(waiting, answered) {
		c.refused = true
		c.answer.answered(c, wire.Failure(why), true)
	} else {
		c.answer.finished(c)
	}
}

// dropIfLeft drops a call whose caller has left.
func (c *Call) dropIfLeft() {
	if !c.id.IsZero() && c.parent.Err() != nil {
		c.drop(errLeft, false)
	}
}

// run runs the handler, if the call has not been answered before, and answers with what it returns.
func (c *Call) run() {
	if full := c.answer.room(c); full != nil {
		c.refuse(full)
		return
	}
	defer c.release()
	if !c.state.CompareAndSwap(waiting, running) {
		c.answer.finished(c)
		return
	}
	if c.onLoop {
		c.manager.slow.during(&c.hold, c, c.work)
		return
	}
	c.work()
}

// work is run once it is certain that the handler runs.
func (c *Call) work() {
	reply := c.manager.invoke(c)
	if c.state.CompareAndSwap(running, answered) {
		c.answer.answered(c, reply, true)
	} else {
		c.answer.finished(c)
	}
}

// release ends the call's context.
func (c *Call) release() {
	if c.ending == nil || c.ending.cancel == nil {
		return
	}
	if c.ending.patient != nil {
		c.ending.patient.Stop()
	}
	c.ending.cancel(context.Canceled)
}
