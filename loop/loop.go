package loop

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// A Poster is the entrance to an event loop. Post may be called from any goroutine; it never runs f
// itself and never waits. Every function that it accepted runs exactly once, in the order of
// acceptance, one at a time, always on the same goroutine. An error means that f will never run.
type Poster interface {
	Post(f func()) error
}

// ErrClosed is what Post returns once the loop is closed; it has no other error.
var ErrClosed = errors.New("loop: closed")

// Loop is a queue of functions. It is unbounded: who posts for others, as CommandMgr does, keeps
// bounds of its own and posts one function for all that waits. The zero value is no Loop; use New.
type Loop struct {
	ready   chan struct{} // holds a token while there is, or may be, something to run
	running atomic.Bool

	mu     sync.Mutex
	queue  []func()
	spare  []func() // the array of a queue that has been run
	cut    bool     // queue is no longer the whole of its array
	closed bool
}

// New returns a loop that nobody runs yet. It needs no Close to be collected.
func New() *Loop {
	return &Loop{ready: make(chan struct{}, 1)}
}

// Post adds f to what the loop will run. Any goroutine may call it, those of the loop's own
// functions too. It fails only with ErrClosed.
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

// Ready is for a select loop: when it delivers, call Poll (or PollOne). It may deliver once with
// nothing to run.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Run runs functions on the calling goroutine as they come. It returns nil when the loop has been
// closed and all that was accepted has run, or the cause of ctx when that ends first; what is queued
// then stays queued, for a later Run or Poll, or for ever.
func (l *Loop) Run(ctx context.Context) error {
	l.enter()
	defer l.leave()
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

// RunOne waits until it has run one function. It returns nil then, and when the loop is closed and
// empty, ErrClosed.
func (l *Loop) RunOne(ctx context.Context) error {
	l.enter()
	defer l.leave()
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

// Poll runs, on the calling goroutine, what is queued at this moment, and says how many functions
// that were. It never waits. What they post runs at the next Poll.
func (l *Loop) Poll() int {
	l.enter()
	defer l.leave()
	return l.poll(context.Background(), 0)
}

// PollOne runs one function if there is one, and says how many it ran: 0 or 1.
func (l *Loop) PollOne() int {
	l.enter()
	defer l.leave()
	return l.poll(context.Background(), 1)
}

// Close makes every later Post fail with ErrClosed. What was accepted still runs: Run returns when
// nothing is left, a select loop polls once more. Close may be called from any goroutine, the loop's
// too, and any number of times. It does not wait.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.signal()
}

// enter makes the caller the one who runs the loop, until leave.
func (l *Loop) enter() {
	if l.running.Swap(true) {
		panic("loop: two goroutines run one loop, or one of its functions runs it again")
	}
}

func (l *Loop) leave() { l.running.Store(false) }

// errDrained is what wait returns when the loop is closed and empty. A context's cause is never it.
var errDrained = errors.New("loop: closed and empty")

// wait returns nil when there is something to run.
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

// poll runs what is queued now, at most limit functions unless that is 0, and stops between two of
// them when ctx ends.
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

// take takes the queue, or its first limit functions, and says whether that is a whole array.
func (l *Loop) take(limit int) (batch []func(), whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select { // whoever polls has heard the signal
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

// putBack returns what of a batch did not run to the front of the queue, and keeps its array if that
// is whole and small: the end of a large one would hold all of it.
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

// signal leaves a token for whoever waits.
func (l *Loop) signal() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}
