package mgr

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/rudderpost/rudderpost/wire"
)

// check authorizes a call. Only then it decodes the arguments.
func (m *CommandMgr) check(call *Call) *wire.Error {
	if rerr := m.authorize(call); rerr != nil || call.target.check == nil {
		return rerr
	}
	return m.decode(call)
}

// authorize decides whether a call may run: first by MaxAccess of its listener, which holds for every peer, then by the
// Authorizer. A panic of the Authorizer refuses the call.
func (m *CommandMgr) authorize(call *Call) (rerr *wire.Error) {
	defer m.recoverInto(&rerr, call)
	if rerr := call.TooHigh(); rerr != nil {
		return rerr
	}
	if err := m.opts.Authorizer.Authorize(call); err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok {
			return e
		}
		return &wire.Error{Code: wire.CodeForbidden, Text: err.Error()}
	}
	return nil
}

// decode decodes the arguments of a call for its handler. A panic of an UnmarshalJSON is a defect, and refuses the call.
func (m *CommandMgr) decode(call *Call) (rerr *wire.Error) {
	defer m.recoverInto(&rerr, call)
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

func (m *CommandMgr) recoverInto(rerr **wire.Error, call *Call) {
	if v := recover(); v != nil {
		m.logPanic(call, v)
		*rerr = errInternal
	}
}

// invoke runs the handler of a call on the calling goroutine.
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

// explain returns the error for a reply. The end of the context of a call has results of its own.
func (m *CommandMgr) explain(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	switch {
	case errors.Is(err, errCallTimeout), errors.Is(err, context.DeadlineExceeded):
		return &wire.Error{Code: wire.CodeTimeout, Text: err.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.Cause(ctx)):
		return &wire.Error{Code: wire.CodeCancelled, Text: "cancelled"}
	}
	return err
}

func (m *CommandMgr) logPanic(call *Call, v any) {
	m.logError("panic in a handler", "call", call, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// logError logs a defect. It may run on the loop, which does no I/O: so another goroutine writes the line.
func (m *CommandMgr) logError(what string, args ...any) { go m.log.Error(what, args...) }
