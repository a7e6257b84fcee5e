package mgr

import (
	"sync"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// A pool runs tasks on goroutines that it reuses. A task that blocks keeps its goroutine, so the number of goroutines has no
// bound; the number of those that wait for a task has. The manager has two pools: the readers, which serve conns, and the
// writers, which write the replies that no reader writes.
//
// A goroutine of a pool is in one of three states. searching and idle count the goroutines in the first two.
//
//	from       to         when                                                          by
//	-          searching  a task is added, and no goroutine is searching or idle        the goroutine that adds
//	idle       searching  a task is added, and no goroutine is searching                the goroutine that adds
//	searching  running    a task waits; if more tasks wait another goroutine searches   itself
//	running    searching  its task has returned                                         itself
//	searching  idle       no task waits                                                 itself
//	searching  -          no task waits, and the pool is closed or maxIdle are idle     itself
//	idle       searching  close is called                                               the goroutine that calls close
type pool[T any] struct {
	run     func(T) // runs a task
	maxIdle int     // how many goroutines wait for tasks

	mu        sync.Mutex
	wake      sync.Cond // an idle goroutine shall search
	tasks     []T       // wait for a goroutine, from next on
	next      int
	searching int
	idle      int
	closed    bool
	all       sync.WaitGroup
}

func (p *pool[T]) init(maxIdle int, run func(T)) {
	p.run, p.maxIdle = run, maxIdle
	p.wake.L = &p.mu
}

// add adds a task. It does not block.
func (p *pool[T]) add(task T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = append(p.tasks, task)
	p.searchLocked()
}

// addFresh runs a task on a new goroutine, whose stack is small.
func (p *pool[T]) addFresh(task T) {
	p.all.Go(func() {
		p.run(task)
		p.mu.Lock()
		p.searching++
		p.mu.Unlock()
		p.work()
	})
}

// searchLocked makes sure that a goroutine searches for tasks. One is enough: it wakes the next one when it leaves tasks
// behind. The caller holds p.mu.
func (p *pool[T]) searchLocked() {
	switch {
	case p.searching > 0:
	case p.idle > 0:
		p.idle--
		p.searching++
		p.wake.Signal()
	default:
		p.searching++
		p.all.Go(p.work)
	}
}

// work runs tasks. It begins as a searching goroutine.
func (p *pool[T]) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.next == len(p.tasks) {
			p.tasks, p.next = p.tasks[:0], 0
			p.searching--
			if p.closed || p.idle >= p.maxIdle {
				return
			}
			p.idle++
			p.wake.Wait() // the waker has counted this goroutine as searching
			continue
		}
		task := p.tasks[p.next]
		var none T
		p.tasks[p.next] = none
		p.next++
		p.searching--
		if p.next < len(p.tasks) {
			p.searchLocked()
		}
		p.mu.Unlock()
		p.run(task)
		p.mu.Lock()
		p.searching++
	}
}

// close ends the idle goroutines, and waits for the others.
func (p *pool[T]) close() {
	p.mu.Lock()
	p.closed = true
	p.searching += p.idle
	p.idle = 0
	p.wake.Broadcast()
	p.mu.Unlock()
	p.all.Wait()
}

// maxIdleReaders is how many readers wait for a conn. Where each request is a conn, as over HTTP, a new stack for each
// would cost more than the command.
const maxIdleReaders = 64

// parking has the poller of a manager, which is opened for the first idle conn.
type parking struct {
	mu     sync.Mutex
	poller *netfd.Poller  // nil: not opened, or not supported
	done   sync.WaitGroup // the goroutine of the poller
}

// poller returns the poller for idle conns, and opens it if necessary. It returns nil where there is none, or no
// descriptor is left for one.
func (m *CommandMgr) poller() *netfd.Poller {
	m.parking.mu.Lock()
	defer m.parking.mu.Unlock()
	if m.parking.poller == nil {
		poller, err := netfd.NewPoller()
		if err != nil {
			return nil
		}
		m.parking.poller = poller
		m.parking.done.Go(func() { poller.Run(m.readCtx) })
	}
	return m.parking.poller
}

// openPoller returns the poller, or nil if no conn was parked yet.
func (m *CommandMgr) openPoller() *netfd.Poller {
	m.parking.mu.Lock()
	defer m.parking.mu.Unlock()
	return m.parking.poller
}
