package mgr

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// A queue has the calls that wait for the loop, in the order of their acceptance. One function is
// posted for all that wait, not one for each.
type queue struct {
	turn func()
	most int

	mu     sync.Mutex
	calls  []*Call
	spare  []*Call // only the loop touches it
	posted bool    // turn will run

	entering *entrance // for whom no turn is taken; nil: for nobody
}

// perTurn is how many calls run before the loop may do something else.
const perTurn = 256

// push adds calls, as many as fit. It returns how many those are, and why the others are not.
func (q *queue) push(l loop.Poster, calls ...*Call) (int, *wire.Error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fit := min(len(calls), max(0, q.most-len(q.calls)))
	if fit > 0 && !q.posted {
		if l.Post(q.turn) != nil {
			return 0, errShuttingDown
		}
		q.posted = true
	}
	q.calls = append(q.calls, calls[:fit]...)
	if fit < len(calls) {
		return fit, wire.Errorf(wire.CodeTooMany, "", "%d commands are waiting; try again later", q.most)
	}
	return fit, nil
}

// take takes the calls of one turn.
func (q *queue) take(l loop.Poster) []*Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.entering != nil {
		return nil
	}
	calls := q.calls
	if len(calls) <= perTurn {
		q.calls, q.spare = q.spare[:0], nil
		q.posted = false
		return calls
	}
	if l.Post(q.turn) != nil { // closed, and this is the last turn
		q.calls, q.posted = nil, false
		return calls
	}
	rest := q.spare[:0]
	rest = append(rest, calls[perTurn:]...)
	q.calls, q.spare = rest, nil
	return calls[:perTurn]
}

// keep gives the array of a turn back.
func (q *queue) keep(calls []*Call) {
	clear(calls)
	if q.spare == nil && cap(calls) <= 4*perTurn {
		q.spare = calls[:0]
	}
}

// turn runs on the loop: one call after the other, each to its end.
func (m *CommandMgr) turn() {
	calls := m.queue.take(m.loop)
	for i, call := range calls {
		call.dropIfLeft()
		if !call.target.critical || call.state.Load() == answered {
			call.run()
		} else if m.runCritical(call, calls[i+1:]) {
			break
		}
	}
	m.queue.keep(calls)
}

var errLeft = &wire.Error{Code: wire.CodeCancelled, Text: "its caller left before its turn came"}

// accept hands calls of Process to where their commands run, unless the drain has begun. It returns those that
// it could not hand over, and why.
func (m *CommandMgr) accept(calls ...*Call) (rejected []*Call, why *wire.Error) {
	if m.receiving.Err() != nil {
		return calls, errShuttingDown
	}
	return m.place(calls...)
}

// place is accept for the parts of a command, which are finished as it is.
func (m *CommandMgr) place(calls ...*Call) (rejected []*Call, why *wire.Error) {
	queued := calls[:0]
	for _, call := range calls {
		if call.target.Async {
			go call.run()
			continue
		}
		queued = append(queued, call)
	}
	n, why := m.queue.push(m.loop, queued...)
	return queued[n:], why
}

var errShuttingDown = &wire.Error{Code: wire.CodeShuttingDown, Text: "the daemon is shutting down and takes no more commands"}

// check authorizes a call, and then, never before, decodes its arguments.
func (m *CommandMgr) check(call *Call) *wire.Error {
	if bad := m.authorize(call); bad != nil || call.target.check == nil {
		return bad
	}
	return m.decode(call)
}

// authorize asks whether a call may run: first the way in, for its ceiling holds whoever asks, then the
// Authorizer. A panic in there allows nothing.
func (m *CommandMgr) authorize(call *Call) (bad *wire.Error) {
	defer m.recoverInto(&bad, call)
	if bad := call.TooHigh(); bad != nil {
		return bad
	}
	if err := m.opts.Authorizer.Authorize(call); err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			return e
		}
		return &wire.Error{Code: wire.CodeForbidden, Text: err.Error()}
	}
	return nil
}

// decode decodes a call's arguments for its handler. A panic in somebody's UnmarshalJSON is a defect.
func (m *CommandMgr) decode(call *Call) (bad *wire.Error) {
	defer m.recoverInto(&bad, call)
	var err error
	if call.input, err = call.target.check(call); err != nil {
		e, ok := errors.AsType[*wire.Error](err)
		if !ok {
			e = &wire.Error{Code: wire.CodeError, Word: "bad-arguments", Text: err.Error()}
		}
		return e
	}
	return nil
}

func (m *CommandMgr) recoverInto(bad **wire.Error, call *Call) {
	if v := recover(); v != nil {
		m.logPanic(call, v)
		*bad = errInternal
	}
}

// invoke runs the handler of a call, on whatever goroutine the command runs.
func (m *CommandMgr) invoke(call *Call) (reply wire.Reply) {
	defer func() {
		if v := recover(); v != nil {
			m.logPanic(call, v)
			reply = wire.Failure(errInternal)
		}
	}()
	if call.target.gone.Load() {
		return wire.Failure(unsupported(call.Name))
	}
	ctx := call.context()
	reply, err := (*call.target.handler.Load())(ctx, call)
	switch {
	case err != nil:
		return wire.Failure(m.explain(ctx, err))
	case reply.Code.Failed():
		return wire.Failure(reply.Err())
	case reply.Code != wire.CodeSuccess && reply.Text == "": // Kea: only a success needs no text
		reply.Text = reply.Code.String()
	}
	reply.Error = nil
	return reply
}

// explain gives the end of a call's context its own result.
func (m *CommandMgr) explain(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	switch {
	case errors.Is(err, errImpatient), errors.Is(err, context.DeadlineExceeded):
		return &wire.Error{Code: wire.CodeTimeout, Text: err.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.Cause(ctx)):
		return &wire.Error{Code: wire.CodeCancelled, Text: "cancelled"}
	}
	return err
}

func (m *CommandMgr) logPanic(call *Call, v any) {
	m.logError("panic in a handler", "call", call, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// logError logs a defect from wherever it shows, the loop included, which does no I/O.
func (m *CommandMgr) logError(what string, args ...any) { go m.log.Error(what, args...) }
