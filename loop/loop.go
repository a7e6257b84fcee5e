package loop

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// A Poster is an event loop, as other goroutines see it.
//
// Post may be called from any goroutine. It does not wait, and does not run f before it returns. If Post returns nil, the
// loop runs f exactly once. The loop runs all functions on one goroutine, one at a time, in the order of the calls of Post.
// If Post returns an error, f never runs.
type Poster interface {
	Post(f func()) error
}

// ErrClosed is the error of Post after Close. Loop.Post returns no other error.
var ErrClosed = errors.New("loop: closed")

// A Loop is a queue of functions, and the methods that run them. The queue has no bound. A caller that posts for others, as
// CommandMgr does, needs a bound of its own; it can post one function for many requests. Use New to make a Loop: the zero
// value does not work.
type Loop struct {
	ready   chan struct{} // has a token while the queue is not empty, and sometimes when it is
	running atomic.Bool

	mu     sync.Mutex
	queue  []func()
	spare  []func() // an empty slice whose array a later queue uses again
	cut    bool     // queue does not begin at the start of its array
	closed bool
}

// New returns an open loop with an empty queue. The garbage collector frees it without Close too.
func New() *Loop {
	return &Loop{ready: make(chan struct{}, 1)}
}

// Post adds f to the queue. Any goroutine may call it, and also functions that run on the loop. After Close it returns
// ErrClosed.
func (l *Loop) Post(f func()) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.queue = append(l.queue, f)
	first := len(l.queue) == 1
	l.mu.Unlock()
	if first {
		l.signal()
	}
	return nil
}

// Ready returns a channel for a select loop, which calls Poll or PollOne each time it receives from the channel. The queue
// may be empty then.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Run runs the functions of the queue on the calling goroutine, and waits for more. It returns nil after Close, when the
// queue is empty. If ctx ends first, it returns the cause of ctx. The functions that have not run then stay in the queue,
// and a later Run or Poll runs them. Run panics if another goroutine runs the loop, or if a function of the loop calls it.
func (l *Loop) Run(ctx context.Context) error {
	l.acquire()
	defer l.release()
	for {
		switch err := l.wait(ctx); {
		case errors.Is(err, errDrained):
			return nil
		case err != nil:
			return err
		}
		l.poll(ctx, 0)
	}
}

// RunOne waits for a function, runs it and returns nil. It returns ErrClosed after Close, when the queue is empty. If ctx
// ends first, it returns the cause of ctx. It panics as Run does.
func (l *Loop) RunOne(ctx context.Context) error {
	l.acquire()
	defer l.release()
	for {
		switch err := l.wait(ctx); {
		case errors.Is(err, errDrained):
			return ErrClosed
		case err != nil:
			return err
		}
		if l.poll(ctx, 1) > 0 {
			return nil
		}
	}
}

// Poll runs the functions that are in the queue now on the calling goroutine, and returns their number. It does not wait for
// more. Functions that these functions post run at the next Poll. It panics as Run does.
func (l *Loop) Poll() int {
	l.acquire()
	defer l.release()
	return l.poll(context.Background(), 0)
}

// PollOne is Poll for at most one function. It returns 0 or 1.
func (l *Loop) PollOne() int {
	l.acquire()
	defer l.release()
	return l.poll(context.Background(), 1)
}

// Close makes every later Post return ErrClosed. The functions that are in the queue still run: Run returns when it has run
// them, and a select loop calls Poll once more. Any goroutine may call Close, and also a function on the loop, and more
// than once. It does not wait.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.signal()
}

// acquire panics if the loop is running already. The caller calls release.
func (l *Loop) acquire() {
	if l.running.Swap(true) {
		panic("loop: two goroutines run one loop, or one of its functions runs it again")
	}
}

func (l *Loop) release() { l.running.Store(false) }

// errDrained is the error of wait if the loop is closed and empty. It is never the cause of a context.
var errDrained = errors.New("loop: closed and empty")

// wait waits until the queue is not empty, the loop is closed (errDrained), or ctx ends (its cause).
func (l *Loop) wait(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.mu.Lock()
		some, closed := len(l.queue) > 0, l.closed
		l.mu.Unlock()
		switch {
		case some:
			return nil
		case closed:
			return errDrained
		case ctx.Done() == nil:
			<-l.ready
		default:
			select {
			case <-l.ready:
			case <-ctx.Done():
			}
		}
	}
}

// poll runs the functions that are in the queue now, and returns their number. A limit other than 0 is the largest number
// that it runs. After the first function it stops when ctx has ended.
func (l *Loop) poll(ctx context.Context, limit int) (ran int) {
	batch, whole := l.take(limit)
	done := ctx.Done()
	defer func() { l.putBack(batch, ran, whole) }() // also when a function panics
	for ran < len(batch) {
		if done != nil && ran > 0 && ctx.Err() != nil {
			return ran
		}
		f := batch[ran]
		batch[ran] = nil
		ran++
		f()
	}
	return ran
}

// take removes all functions from the queue, or the first limit ones. whole is true if batch begins at the start of its
// array and no other slice uses that array.
func (l *Loop) take(limit int) (batch []func(), whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select { // the caller is about to run the functions, so the token is used
	case <-l.ready:
	default:
	}
	batch = l.queue
	if limit > 0 && len(batch) > limit {
		l.queue, l.cut = batch[limit:], true
		l.signal()
		return batch[:limit:limit], false
	}
	whole = !l.cut
	l.queue, l.spare, l.cut = l.spare[:0], nil, false
	return batch, whole
}

// putBack puts the functions of a batch that did not run at the front of the queue. If all have run, it keeps the array for
// a later queue, unless the array is large or batch is only a part of it.
func (l *Loop) putBack(batch []func(), ran int, whole bool) {
	if rest := batch[ran:]; len(rest) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.queue = append(append([]func(){}, rest...), l.queue...)
		l.signal()
		return
	}
	if whole && l.spare == nil && cap(batch) <= 1024 {
		l.spare = batch[:0]
	}
}

// signal puts a token into ready, which wakes the goroutine that waits.
func (l *Loop) signal() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}
