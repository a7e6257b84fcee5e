// Package ctxio ends blocking calls when a context ends: an Accept that waits for a channel, and a read or write that
// waits for a connection with deadlines.
//
// A connection has no method that takes a context. So the functions here set its deadline to a time in the past when
// the context ends. The blocked call then returns os.ErrDeadlineExceeded, and its caller returns the cause of the
// context instead.
package ctxio

import (
	"context"
	"net"
	"sync"
	"time"
)

// LongAgo is a deadline in the past. It ends a blocked read or write at once.
var LongAgo = time.Unix(1, 0)

// Accept returns the next value of ready or the next error of failed. It blocks until there is one. It returns
// net.ErrClosed when closed is closed, and the cause of ctx when ctx ends; both are checked before ready and failed.
// failed may be nil. Several goroutines may call it at the same time.
func Accept[T any](ctx context.Context, closed <-chan struct{}, ready <-chan T, failed <-chan error) (T, error) {
	var none T
	select {
	case <-closed:
		return none, net.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	select {
	case v := <-ready:
		return v, nil
	case err := <-failed:
		return none, err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-closed:
		return none, net.ErrClosed
	}
}

// SetDeadlineOnDone calls set(LongAgo) when ctx ends. The caller must call stop when its read or write has returned. If
// set was called, stop waits until that call has returned, and removes the deadline with set(time.Time{}). So no
// deadline of ctx remains after stop.
func SetDeadlineOnDone(ctx context.Context, set func(time.Time) error) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = set(LongAgo)
	})
	return func() {
		if !cancel() {
			<-done
			_ = set(time.Time{})
		}
	}
}

// SetWriteDeadlineOnDone is SetDeadlineOnDone for the write deadline of conn. It allocates nothing if ctx cannot end; the
// function value conn.SetWriteDeadline would.
func SetWriteDeadlineOnDone(ctx context.Context, conn interface{ SetWriteDeadline(time.Time) error }) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	return SetDeadlineOnDone(ctx, conn.SetWriteDeadline)
}

// A Watcher calls a function when a context ends. It keeps the context of the last call of Watch: most calls have the
// same context as the one before, and cost no lock then. The zero value is ready.
type Watcher struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel func() bool
	closed bool
}

// Watch replaces the watched context by ctx. When ctx ends, onDone runs on a goroutine
// of its own. Only one goroutine at a time may call Watch.
func (w *Watcher) Watch(ctx context.Context, onDone func()) {
	if ctx == w.ctx {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel()
	}
	w.ctx, w.cancel = ctx, nil
	if ctx.Done() != nil && !w.closed {
		w.cancel = context.AfterFunc(ctx, onDone)
	}
}

// Close stops watching, for good. It may be called from any goroutine.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.cancel != nil {
		w.cancel()
	}
}

// A Deadline interrupts blocked reads, or blocked writes, of one connection when a context ends: it sets a deadline in
// the past. Set is the method that sets the deadline. Like a Watcher, a Deadline keeps the context of the last call.
type Deadline struct {
	Set func(time.Time) error

	mu     sync.Mutex
	ctx    context.Context
	cancel func() bool
	closed bool
}

// Watch replaces the watched context by ctx. It reports whether it removed the deadline of a context that has ended. Only
// one goroutine at a time may call it.
//
// A deadline that the caller sets after Watch replaces that of a context that has just ended. So the caller checks the
// context after it has set a deadline.
func (d *Deadline) Watch(ctx context.Context) (reset bool) {
	if ctx == d.ctx {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil && !d.cancel() {
		_ = d.Set(time.Time{})
		reset = true
	}
	d.ctx, d.cancel = ctx, nil
	if ctx.Done() == nil || d.closed {
		return reset
	}
	d.cancel = context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ctx == ctx {
			_ = d.Set(LongAgo)
		}
	})
	return reset
}

// Close stops watching, for good. It may be called from any goroutine.
func (d *Deadline) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.cancel != nil {
		d.cancel()
	}
}
