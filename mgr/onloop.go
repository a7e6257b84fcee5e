package mgr

import (
	"context"
	"errors"
	"sync/atomic"
)

// OnLoop runs f on the loop and waits for it: how the handler of an Async command touches what
// belongs to the loop. ctx is the handler's. The error is f's, or says why f did not run: ctx ended
// first, or the loop is closed. Once f has begun OnLoop waits for its end whatever happens.
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
	err := call.manager.loop.Post(func() {
		if taken.CompareAndSwap(false, true) {
			call.manager.slow.during(new(hold), call, func() { done <- call.protect(f) })
		}
	})
	if err != nil {
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
