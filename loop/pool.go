package loop

import (
	"errors"
	"sync"
)

// A Pool is a number of goroutines, its workers, that run tasks beside the loop. It is a Participant:
// inside a CriticalSection none of its tasks runs, so that they may read without locks what only
// functions inside change. All methods may be called from any goroutine.
type Pool struct {
	mu      sync.Mutex
	changed sync.Cond // there is a task, or the pool goes on, or it is closed
	tasks   []func()  // a ring
	first   int
	queued  int
	running int
	pauses  int
	waiting []func() // who is told when nothing runs any more
	closed  bool
	workers sync.WaitGroup
}

// ErrFull is what Submit returns when as many tasks wait as may.
var ErrFull = errors.New("loop: the pool's queue is full")

// NewPool returns a pool of so many workers, at least one, for which at most queue tasks wait, at
// least one. Close ends the workers.
func NewPool(workers, queue int) *Pool {
	p := &Pool{tasks: make([]func(), max(1, queue))}
	p.changed.L = &p.mu
	for range max(1, workers) {
		p.workers.Go(p.work)
	}
	return p
}

// Submit adds a task to those that wait. It never waits itself: when there are too many it returns
// ErrFull, after Close ErrClosed, and the task will never run. Tasks begin in the order of their
// submission. A task that panics ends the program, as any goroutine does.
func (p *Pool) Submit(task func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case p.queued == len(p.tasks):
		return ErrFull
	}
	p.tasks[(p.first+p.queued)%len(p.tasks)] = task
	p.queued++
	if p.pauses == 0 {
		p.changed.Signal()
	}
	return nil
}

// work is the life of a worker.
func (p *Pool) work() {
	p.mu.Lock() // and no deferred Unlock, which would hide the panic of a task
	for {
		switch {
		case p.queued > 0 && p.pauses == 0:
			p.runOne()
		case p.queued == 0 && p.closed:
			p.mu.Unlock()
			return
		default:
			p.changed.Wait()
		}
	}
}

// runOne runs the task that has waited longest. p.mu is held, but not meanwhile.
func (p *Pool) runOne() {
	task := p.tasks[p.first]
	p.tasks[p.first] = nil
	p.first = (p.first + 1) % len(p.tasks)
	p.queued--
	p.running++
	p.mu.Unlock()
	task()
	p.mu.Lock()
	p.running--
	if p.running > 0 || len(p.waiting) == 0 {
		return
	}
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, done := range waiting {
		done()
	}
	p.mu.Lock()
}

// Pause lets no task begin until Resume, and calls done when none runs any more: at once, or later on
// a worker's goroutine. It does not wait. Pauses are counted.
func (p *Pool) Pause(done func()) {
	p.mu.Lock()
	p.pauses++
	still := p.running == 0
	if !still {
		p.waiting = append(p.waiting, done)
	}
	p.mu.Unlock()
	if still {
		done()
	}
}

// Resume ends a Pause. If that was the last one, tasks begin again, and whoever still waits to be told
// that none runs is not told any more.
func (p *Pool) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pauses == 0 {
		panic("loop: Resume of a pool that is not paused")
	}
	p.pauses--
	if p.pauses == 0 {
		p.waiting = nil
		p.changed.Broadcast()
	}
}

// Check implements Participant: a pool never minds.
func (p *Pool) Check() error { return nil }

// Enter implements Participant; it is Pause.
func (p *Pool) Enter(done func()) { p.Pause(done) }

// Exit implements Participant; it is Resume.
func (p *Pool) Exit() { p.Resume() }

// Close lets no further task in, and waits until those that are have run, which takes a Resume where
// the pool is paused: it must not be called inside a section, nor by a task. A closed pool remains a
// Participant, one that has always paused.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.workers.Wait()
}
