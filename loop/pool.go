package loop

import (
	"errors"
	"sync"
)

// A Pool is a fixed number of goroutines, the workers, that run tasks. It is a Participant: while a function is inside a
// CriticalSection, no task runs. So tasks may read without locks what only functions inside the section change. Any
// goroutine may call the methods. Use NewPool to make a Pool.
type Pool struct {
	mu      sync.Mutex
	changed sync.Cond // a task was added, the last pause has ended, or the pool was closed
	tasks   []func()  // a ring buffer
	first   int       // index of the oldest task
	queued  int       // tasks in the ring
	running int       // tasks that workers run now
	pauses  int       // calls of Pause without their Resume
	onIdle  []func()  // the done functions that wait until running is 0
	closed  bool
	workers sync.WaitGroup
}

// ErrFull is the error of Submit if the queue of the pool is full.
var ErrFull = errors.New("loop: the pool's queue is full")

// NewPool starts a pool. workers is the number of goroutines, queue the number of tasks that may wait for a worker. Numbers
// below 1 count as 1. Close ends the workers.
func NewPool(workers, queue int) *Pool {
	p := &Pool{tasks: make([]func(), max(1, queue))}
	p.changed.L = &p.mu
	for range max(1, workers) {
		p.workers.Go(p.work)
	}
	return p
}

// Submit adds a task to the queue. It does not wait: if the queue is full it returns ErrFull, and after Close ErrClosed. The
// task never runs then. Workers take the tasks in the order of the calls of Submit. A panic in a task ends the program.
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

// work runs tasks until the pool is closed and its queue is empty.
func (p *Pool) work() {
	p.mu.Lock() // without a deferred Unlock: it would panic after the panic of a task, and hide it
	for {
		switch {
		case p.queued > 0 && p.pauses == 0:
			p.runOneLocked()
		case p.queued == 0 && p.closed:
			p.mu.Unlock()
			return
		default:
			p.changed.Wait()
		}
	}
}

// runOneLocked runs the oldest task. It unlocks p.mu while the task runs, and locks it again.
func (p *Pool) runOneLocked() {
	task := p.tasks[p.first]
	p.tasks[p.first] = nil
	p.first = (p.first + 1) % len(p.tasks)
	p.queued--
	p.running++
	p.mu.Unlock()
	task()
	p.mu.Lock()
	p.running--
	if p.running > 0 || len(p.onIdle) == 0 {
		return
	}
	onIdle := p.onIdle
	p.onIdle = nil
	p.mu.Unlock()
	for _, done := range onIdle {
		done()
	}
	p.mu.Lock()
}

// Pause makes the workers take no task until Resume. It calls done when no task runs: before it returns, or later on the
// goroutine of a worker. It does not wait. Each Pause needs a Resume of its own.
func (p *Pool) Pause(done func()) {
	p.mu.Lock()
	p.pauses++
	idle := p.running == 0
	if !idle {
		p.onIdle = append(p.onIdle, done)
	}
	p.mu.Unlock()
	if idle {
		done()
	}
}

// Resume ends one Pause. If it was the last one, the workers take tasks again, and the pool drops the done functions that it
// has not called yet. Resume without a Pause panics.
func (p *Pool) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pauses == 0 {
		panic("loop: Resume of a pool that is not paused")
	}
	p.pauses--
	if p.pauses == 0 {
		p.onIdle = nil
		p.changed.Broadcast()
	}
}

// Check implements Participant. It returns nil: a pool can always pause.
func (p *Pool) Check() error { return nil }

// Enter implements Participant. It calls Pause.
func (p *Pool) Enter(done func()) { p.Pause(done) }

// Exit implements Participant. It calls Resume.
func (p *Pool) Exit() { p.Resume() }

// Close makes later calls of Submit return ErrClosed, and waits until the workers have run all tasks of the queue and have
// ended. A paused pool runs no tasks, so Close waits for its Resume: do not call Close inside a section, or in a task. A
// closed pool is still a Participant; it has nothing to pause.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.workers.Wait()
}
