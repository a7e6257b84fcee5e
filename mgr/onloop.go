package mgr

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/wire"
)

// OnLoop runs f on the loop, and waits until f has returned. The handler of an Async command uses it to access what belongs
// to the loop. ctx must be the context of that handler, or one derived from it.
//
// OnLoop returns the error of f. If f did not run, it returns the cause of ctx, which ended before f began, or
// loop.ErrClosed. Once f has begun, OnLoop waits for its end, also when ctx ends. A panic in f becomes an error with result
// 500.
//
// If the command is critical, f runs inside the critical section. If the section cannot be entered, OnLoop returns a
// *wire.Error with the reason.
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
		case bad != nil && ctx.Err() != nil: // OnLoop returns the cause of ctx
		case !taken.CompareAndSwap(false, true):
		case bad != nil:
			done <- bad
		default:
			call.manager.slow.run(new(execution), call, func() { done <- call.protect(f) })
		}
	}
	enter := func() { begin(nil) }
	if call.target.critical {
		enter = func() { call.manager.runInSection(ctx, call, begin) }
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

// protect turns a panic of f into an error, since a panic would end the loop.
func (c *Call) protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.manager.logPanic(c, v)
			err = errInternal
		}
	}()
	return f()
}
