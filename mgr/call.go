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
// changes it. Its bytes are valid as long as it is.
type Call struct {
	Name      string         // as the caller wrote it
	Command   *Command       // what it names; nil: there is no such command
	Arguments wire.Value     // as the caller wrote them; nil: none
	Peer      transport.Peer // who asks
	Received  time.Time      // when

	id      wire.ID
	target  *registered
	input   any // the decoded arguments, for Func's handler
	manager *CommandMgr
	ctx     context.Context
	cancel  context.CancelCauseFunc // nil where nothing but the conn's end can end ctx
	patient *time.Timer             // the caller's patience
	state   atomic.Uint32
	onLoop  bool
	size    int // bytes of the frame
	answer  answerer
	plain   callContext
	small   [smallFrame]byte // the frame, when it is short
}

// smallFrame is the length of a frame that costs no allocation of its own.
const smallFrame = 192

// An answerer is where a call's reply goes.
type answerer interface {
	// answered is called once for each call, with its last reply: on the loop for a command that
	// runs there, elsewhere for others.
	answered(call *Call, reply wire.Reply)
	// finished is called once for each call, when its handler has returned or will never run.
	finished(call *Call)
}

// The states of a call.
const (
	waiting  = iota // it may still be dropped
	running         // its handler runs
	answered        // it has been answered; a handler that still runs is not heard
)

// CallOf returns the call whose handler was given ctx.
func CallOf(ctx context.Context) (*Call, bool) {
	call, ok := ctx.Value(callKey{}).(*Call)
	return call, ok
}

// LogValue implements slog.LogValuer: who asked for what, never the arguments.
func (c *Call) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", c.Peer.String()), slog.String("command", c.Name))
}

type callKey struct{}

// A callContext is the context of a call: its conn's, and it knows the call.
type callContext struct {
	context.Context
	call *Call
}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return c.call
	}
	return c.Context.Value(key)
}

var (
	errCancelled = errors.New("cancelled by its caller")
	errImpatient = errors.New("it took longer than the caller would wait")
)

// bind gives the call its context. One that can be ended by itself costs more, so only those get one
// that have a deadline or run beside the loop.
func (c *Call) bind(parent context.Context, timeout time.Duration) {
	c.plain = callContext{parent, c}
	c.ctx = &c.plain
	if timeout > 0 || c.target.Async {
		c.ctx, c.cancel = context.WithCancelCause(c.ctx)
	}
	if timeout > 0 {
		c.patient = time.AfterFunc(timeout, c.expire)
	}
}

// expire answers a call that its caller no longer waits for.
func (c *Call) expire() {
	c.cancel(errImpatient)
	c.drop(wire.Errorf(wire.CodeTimeout, "", "'%s' took longer than the %s its caller would wait", wire.Shorten(c.Name), time.Since(c.Received).Round(time.Millisecond)), true)
}

// drop answers a call without its handler: one that waits, or, if abandon is set, one that runs too.
// It reports whether that came before any other answer.
func (c *Call) drop(why *wire.Error, abandon bool) bool {
	if !c.state.CompareAndSwap(waiting, answered) && (!abandon || !c.state.CompareAndSwap(running, answered)) {
		return false
	}
	c.answer.answered(c, wire.Failure(why))
	return true
}

// run runs the handler, if the call has not been answered before, and answers with what it returns.
func (c *Call) run() {
	defer c.finish()
	if !c.state.CompareAndSwap(waiting, running) {
		return
	}
	reply := c.manager.invoke(c)
	if c.state.CompareAndSwap(running, answered) {
		c.answer.answered(c, reply)
	}
}

// finish ends the call's context and gives its place to another.
func (c *Call) finish() {
	if c.patient != nil {
		c.patient.Stop()
	}
	if c.cancel != nil {
		c.cancel(context.Canceled)
	}
	c.answer.finished(c)
}
