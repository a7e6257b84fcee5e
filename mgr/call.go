package mgr

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Call is one request while it is served. Authorizers, middleware and handlers read it, from any goroutine, and change
// nothing; a Recorder sets Record. Its bytes are valid as long as the Call is.
type Call struct {
	Name      string          // the name in the request
	Command   *Command        // the command of that name; nil: there is none
	Arguments wire.Value      // the arguments in the request, not decoded; nil: none
	Peer      transport.Peer  // the peer that sent the request
	Received  time.Time       // when the request was received
	Via       *ListenerConfig // the listener that the request came through, with its Name; nil: the daemon itself (Process)

	// Record is for a Recorder: Begin sets it, and End reads it.
	Record uint64

	// Listing says that the Authorizer decides only whether there are arguments with which the peer may run the command,
	// as for list-commands. It ignores Arguments.
	Listing bool

	onLoop        bool
	inFlight      bool // it is or was among the calls in flight of its conn
	pendingOnLoop bool // the reader may wait for its reply
	refused       bool // no handler has seen it; only the goroutine that answers it accesses this
	state         atomic.Uint32
	id            wire.ID
	rerr          *wire.Error // why the frame is no request
	target        *registered
	input         any // the decoded arguments, for the handler of Func
	manager       *CommandMgr
	parent        context.Context // ends the call when it ends
	canceller     *canceller      // nil: only parent ends the call
	size          int             // length of the frame in bytes
	holders       atomic.Int32    // what keeps its memory: the handler, until it returns, and the reply, until it is written
	sink          replySink
	execution     execution // for the slow log, if it runs on the loop
	small         [48]byte  // the array of short arguments
}

// A canceller ends a call before its conn ends.
type canceller struct {
	timeout time.Duration // of the request; 0: none
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer // fires at the timeout; nil: there is none
}

// A replySink takes the replies to calls. A conn is one, and so is processSink.
type replySink interface {
	// reply takes the final reply to a call: on the loop for a command that runs there, on another goroutine for others.
	// returned says that the handler has returned or will never run.
	reply(call *Call, reply wire.Reply, returned bool)
	// returned is called when the handler returns after the reply.
	returned(call *Call)
	// room is called before the handler runs. It returns an error, for the reply, when there is no room for another reply.
	room(call *Call) *wire.Error
}

// The states of a call. A call is constructed, bound and recorded by one goroutine before it is published. From then on
// any goroutine may answer it. Its state is all that is written then, and `refused` by the goroutine that answers it.
//
//	from      to        when                                                            by
//	admitted  waiting   the call is recorded (publish)                                  reader, or the caller of Process
//	admitted  answered  a limit refuses the call, or the Recorder fails (refuse)        reader
//	waiting   running   the loop reaches the call, or its goroutine starts (run)        loop, or its own goroutine if Async
//	waiting   answered  cancel, timeout, departure, kill, a full queue (drop, refuse)   any
//	running   answered  the handler returns (runHandler), or the timeout passes (expire) the handler's goroutine, or the timer
const (
	admitted = iota // only the goroutine that made the call knows it: it can be refused, not cancelled
	waiting         // it waits in the queue, and can be dropped
	running         // its handler runs
	answered        // it has a reply; the reply of a handler that still runs is discarded
)

// CallOf returns the call whose handler was given ctx.
func CallOf(ctx context.Context) (*Call, bool) {
	call, ok := ctx.Value(callKey{}).(*Call)
	return call, ok
}

// decode decodes the request in a frame. The call copies the bytes that it needs.
func (c *Call) decode(frame []byte) {
	c.size = len(frame)
	request, rerr := wire.Decoder{Name: c.internName}.Decode(frame)
	c.id, c.Name, c.rerr = request.ID, request.Command, rerr
	switch n := len(request.Arguments); {
	case request.Arguments == nil:
	case n <= len(c.small):
		c.Arguments = append(c.small[:0:n], request.Arguments...)
	default:
		c.Arguments = slices.Clone(request.Arguments)
	}
	if rerr != nil {
		return
	}
	if c.target == nil || c.target.Name != c.Name {
		c.target = c.manager.lookup(c.Name)
	}
	if c.target != c.manager.unknown {
		c.Command = &c.target.Command
	}
	c.setTimeout(request.Timeout)
}

// internName returns the name of a command. If the command exists internName notes it, and allocates no string.
func (c *Call) internName(name []byte) string {
	if target, ok := (*c.manager.table.Load())[string(name)]; ok {
		c.target = target
		return target.Name
	}
	return string(name)
}

// LogValue implements slog.LogValuer. It has the peer and the command, never the arguments.
func (c *Call) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", c.Peer.String()), slog.String("command", c.shown()))
}

type callKey struct{}

// A callContext is the context of a call that only its parent ends. CallOf finds the call in it.
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

// context returns the context for the handler.
func (c *Call) context() context.Context {
	if c.canceller != nil {
		return c.canceller.ctx
	}
	return (*callContext)(c)
}

var (
	errCancelled   = errors.New("cancelled by its caller")
	errCallTimeout = errors.New("it took longer than the caller would wait")
)

// setTimeout sets the timeout of the request; 0: none.
func (c *Call) setTimeout(timeout time.Duration) {
	if timeout > 0 {
		c.canceller = &canceller{timeout: timeout}
	}
}

// bind gives the call its context. A context that can be cancelled costs allocations, so only a call that has a timeout or
// runs off the loop gets one. bind is called before publish.
func (c *Call) bind(parent context.Context) {
	c.parent = parent
	c.onLoop = !c.target.Async
	if c.target.Async && c.canceller == nil {
		c.canceller = &canceller{}
	}
	if c.canceller == nil {
		return
	}
	c.canceller.ctx, c.canceller.cancel = context.WithCancelCause((*callContext)(c))
	if c.canceller.timeout > 0 {
		c.canceller.timer = newTimer(c.expire)
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
	if c.canceller == nil || c.canceller.timer == nil {
		return
	}
	if left := c.canceller.timeout - time.Since(c.Received); left > 0 {
		c.canceller.timer.Reset(left)
	} else {
		c.expire()
	}
}

// expire answers a call whose timeout has passed.
func (c *Call) expire() {
	c.drop(wire.Errorf(wire.CodeTimeout, "", "'%s' took longer than the %s its caller would wait", wire.Shorten(c.Name), c.canceller.timeout), true)
	c.canceller.cancel(errCallTimeout) // after the reply, so that the handler cannot answer first
}

// drop answers a call without its handler: a call that waits, or, if abandon is set, also a call that runs. It reports
// whether the call had no reply before.
func (c *Call) drop(why *wire.Error, abandon bool) bool {
	switch {
	case c.state.CompareAndSwap(waiting, answered):
		c.refused = true
	case !abandon || !c.state.CompareAndSwap(running, answered):
		return false
	}
	c.sink.reply(c, wire.Failure(why), false)
	if c.target.critical {
		c.manager.queue.abort(c)
	}
	return true
}

// refuse answers a call that will not run, if it has not been answered before.
func (c *Call) refuse(why *wire.Error) {
	defer c.release()
	if c.state.CompareAndSwap(admitted, answered) || c.state.CompareAndSwap(waiting, answered) {
		c.refused = true
		c.sink.reply(c, wire.Failure(why), true)
	} else {
		c.sink.returned(c)
	}
}

// dropIfLeft drops a call whose peer has left.
func (c *Call) dropIfLeft() {
	if !c.id.IsZero() && c.parent.Err() != nil {
		c.drop(errLeft, false)
	}
}

// run runs the handler, unless the call has a reply, and answers with the reply of the handler.
func (c *Call) run() {
	if full := c.sink.room(c); full != nil {
		c.refuse(full)
		return
	}
	defer c.release()
	if !c.state.CompareAndSwap(waiting, running) {
		c.sink.returned(c)
		return
	}
	if c.onLoop {
		c.manager.slow.run(&c.execution, c, c.runHandler)
		return
	}
	c.runHandler()
}

// runHandler runs the handler in state running.
func (c *Call) runHandler() {
	reply := c.manager.invoke(c)
	if c.state.CompareAndSwap(running, answered) {
		c.sink.reply(c, reply, true)
	} else {
		c.sink.returned(c)
	}
}

// release ends the context of the call.
func (c *Call) release() {
	if c.canceller == nil || c.canceller.cancel == nil {
		return
	}
	if c.canceller.timer != nil {
		c.canceller.timer.Stop()
	}
	c.canceller.cancel(context.Canceled)
}

// shown returns the name of the command for a log. The name of a command that does not exist may contain any characters,
// also such that control a terminal or hide the rest of a line; they are escaped.
func (c *Call) shown() string {
	if c.Command != nil {
		return c.Name
	}
	quoted := strconv.Quote(wire.Shorten(c.Name))
	return quoted[1 : len(quoted)-1]
}
