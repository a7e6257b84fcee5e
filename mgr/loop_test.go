package mgr_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// A foreign loop is somebody else's: all that the manager knows of it is Post.
type foreign struct {
	mu    sync.Mutex
	wake  sync.Cond
	queue []func()
	over  bool
}

func newForeign() *foreign {
	f := &foreign{}
	f.wake.L = &f.mu
	return f
}

func (f *foreign) Post(do func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return loop.ErrClosed
	}
	f.queue = append(f.queue, do)
	f.wake.Signal()
	return nil
}

func (f *foreign) run() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.queue) == 0 {
			if f.over {
				return
			}
			f.wake.Wait()
		}
		do := f.queue[0]
		f.queue = f.queue[1:]
		f.mu.Unlock()
		do()
		f.mu.Lock()
	}
}

func (f *foreign) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.wake.Signal()
}

// A driver is one way to adopt a manager. Its run drives the loop until ctx has ended and all is
// drained.
type driver struct {
	name string
	loop loop.Poster
	run  func(ctx context.Context, m *mgr.CommandMgr) error
}

func drivers() []driver {
	selected, other := loop.New(), newForeign()
	return []driver{
		{"run", nil, func(ctx context.Context, m *mgr.CommandMgr) error { return m.Run(ctx) }},
		{"select", selected, func(ctx context.Context, m *mgr.CommandMgr) error {
			result := make(chan error, 1)
			context.AfterFunc(ctx, func() { result <- m.Shutdown(context.Background()) })
			for {
				select {
				case <-selected.Ready():
					selected.Poll()
				case <-m.Done():
					return <-result
				}
			}
		}},
		{"foreign", other, func(ctx context.Context, m *mgr.CommandMgr) error {
			result := make(chan error, 1)
			go func() {
				result <- m.Run(ctx)
				other.close()
			}()
			other.run()
			return <-result
		}},
	}
}

// drive runs a daemon that was prepared by its driver until the test ends.
func drive(t *testing.T, d *daemon, how driver) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() { d.ended <- how.run(ctx, d.CommandMgr) }()
	t.Cleanup(func() {
		require.NoError(t, d.end())
		require.Zero(t, d.Count())
	})
}

// TestHandlersRunOnTheLoop touches variables that nothing guards, for the race detector: handlers run
// one at a time, on one goroutine.
func TestHandlersRunOnTheLoop(t *testing.T) {
	for _, how := range drivers() {
		t.Run(how.name, func(t *testing.T) {
			const clients, each = 8, 50
			count, inside, where := 0, false, map[uint64]int{}
			touch := func() {
				if inside {
					panic("two at a time")
				}
				inside = true
				count++
				where[goroutine()]++
				inside = false
			}
			d := prepare(t, &mgr.Options{Loop: how.loop},
				mgr.Func("on", "", mgr.Read, func(context.Context, mgr.None) (int, error) {
					touch()
					return count, nil
				}),
				mgr.Async("beside", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
					return mgr.None{}, mgr.OnLoop(ctx, func() error {
						touch()
						return nil
					})
				}))
			drive(t, d, how)
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					c := d.dial()
					defer c.leave()
					for i := range each {
						c.say(fmt.Sprintf(`{"command":"on","id":%d}{"command":"beside","id":"b%d"}`, i, i))
						for _, r := range c.hearAll(2) {
							require.Zero(t, r.Result, r.Text)
						}
					}
				})
			}
			all.Wait()
			require.NoError(t, d.end())
			require.Equal(t, 2*clients*each, count)
			require.Len(t, where, 1)
			require.NotContains(t, where, goroutine())
		})
	}
}

// TestManyCommandsInOneTurn queues more than the loop runs in a turn, and sees them answered in order.
func TestManyCommandsInOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2000}}, newShip().commands()...)
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"hold","id":0}`)
		for i := range 1000 {
			c.say(fmt.Sprintf(`{"command":"count","id":%d}`, i+1))
		}
		synctest.Wait()
		c.say(`{"command":"release","id":"r"}`)
		next := 0.0
		for range 1002 {
			if r := c.hear(); r.ID != "r" {
				require.Equal(t, next, r.ID)
				next++
			}
		}
	})
}

func TestPanicIsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := func(context.Context, mgr.None) (mgr.None, error) { panic("canary") }
		d := start(t, nil, append(newShip().commands(),
			mgr.Func("on", "", mgr.Read, panics), mgr.Async("beside", "", mgr.Read, panics),
			mgr.Func("reply", "", mgr.Read, func(context.Context, mgr.None) (explosive, error) { return explosive{}, nil }),
			mgr.Func("argument", "", mgr.Read, func(context.Context, *explosive) (mgr.None, error) { return mgr.None{}, nil }, mgr.AnyArguments()),
			mgr.Func("arguments", "", mgr.Read, func(context.Context, struct{ E explosive }) (mgr.None, error) { return mgr.None{}, nil }),
			mgr.Func("infinite", "", mgr.Read, func(context.Context, mgr.None) (any, error) { return make(chan int), nil }),
		)...)
		for _, request := range []string{`"on"`, `"beside"`, `"reply"`, `"arguments","arguments":{"E":1}`, `"infinite"`} {
			r := d.ask(`{"command":` + request + `}`)
			require.Equal(t, reply{Result: 500, Text: "internal error; the daemon's log says more", Error: details("internal")}, r, request)
		}
		require.Equal(t, 1.0, d.ask(`{"command":"count"}`).Arguments)
		require.NoError(t, d.end())
		synctest.Wait()
		require.Contains(t, d.log.String(), "canary")
		require.Contains(t, d.log.String(), "loop_test.go", "the stack")
	})
}

// An explosive value panics when it is encoded or decoded.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error)  { panic("canary") }
func (*explosive) UnmarshalJSON(_ []byte) error { panic("canary") }
