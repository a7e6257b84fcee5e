package mgr

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/wire"
)

// OnLoop runs f on the loop and waits for it: how the handler of an Async command touches what
// belongs to the loop. ctx is the handler's. The error is f's, or says why f did not run: ctx ended
// first, or the loop is closed. Once f has begun OnLoop waits for its end whatever happens.
//
// Where the command is critical f runs inside the critical section; when that cannot be entered, the
// error is a *wire.Error that says why.
func OnLoop(ctx context.Context, f func() error) error {
	call, ok := CallOf(ctx)
	if !ok {
		return errors.New("OnLoop needs the context that a handler was given")
	}
	if call.onLoop {
		return errors.New("OnLoop is for Async commands; the handler of '" + call.Name + "' is on the loop already")
	}
	var taken atomic.Bool
	done := make(chan error, 1)
	begin := func(bad *wire.Error) {
		switch {
		case bad != nil && ctx.Err() != nil: // OnLoop itself knows better what to return
		case !taken.CompareAndSwap(false, true):
		case bad != nil:
			done <- bad
		default:
			call.manager.slow.during(new(hold), call, func() { done <- call.protect(f) })
		}
	}
	enter := func() { begin(nil) }
	if call.target.critical {
		enter = func() { call.manager.inside(ctx, call, begin) }
	}
	if err := call.manager.loop.Post(enter); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if taken.CompareAndSwap(false, true) {
			return context.Cause(ctx)
		}
		return <-done
	}
}

// protect makes an error of a panic, which must not end the loop.
func (c *Call) protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.manager.logPanic(c, v)
			err = errInternal
		}
	}()
	return f()
}
