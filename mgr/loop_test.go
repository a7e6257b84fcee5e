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

// A postOnlyLoop is a loop of another package: the manager knows only its method Post.
type postOnlyLoop struct {
	mu    sync.Mutex
	wake  sync.Cond
	queue []func()
	over  bool
}

func newPostOnlyLoop() *postOnlyLoop {
	f := &postOnlyLoop{}
	f.wake.L = &f.mu
	return f
}

func (f *postOnlyLoop) Post(do func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return loop.ErrClosed
	}
	f.queue = append(f.queue, do)
	f.wake.Signal()
	return nil
}

func (f *postOnlyLoop) run() {
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

func (f *postOnlyLoop) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.wake.Signal()
}

// A driver is one way to run the loop of a manager. Its run returns when ctx has ended and the drain is complete.
type driver struct {
	name string
	loop loop.Poster
	run  func(ctx context.Context, m *mgr.CommandMgr) error
}

func drivers() []driver {
	selected, other := loop.New(), newPostOnlyLoop()
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
		{"post-only", other, func(ctx context.Context, m *mgr.CommandMgr) error {
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

// drive runs a daemon of prepare with a driver until the test ends.
func drive(t *testing.T, d *daemon, how driver) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() { d.ended <- how.run(ctx, d.CommandMgr) }()
	t.Cleanup(func() {
		require.NoError(t, d.end())
		require.Zero(t, d.Count())
	})
}

// Handlers run one at a time, on one goroutine. They access variables without a lock, and the race detector checks that.
func TestHandlersRunOneAtATimeOnLoop(t *testing.T) {
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
					defer c.close()
					for i := range each {
						c.send(fmt.Sprintf(`{"command":"on","id":%d}{"command":"beside","id":"b%d"}`, i, i))
						for _, r := range c.receiveAll(2) {
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

// More calls than one run of the queue serves are answered in order.
func TestMoreCallsThanOneRunServesAreAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2000}}, newTestCommands().commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":0}`)
		for i := range 1000 {
			c.send(fmt.Sprintf(`{"command":"count","id":%d}`, i+1))
		}
		synctest.Wait()
		c.send(`{"command":"release","id":"r"}`)
		next := 0.0
		for range 1002 {
			if r := c.receive(); r.ID != "r" {
				require.Equal(t, next, r.ID)
				next++
			}
		}
	})
}

func TestPanicIsLoggedAndAnswered500(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := func(context.Context, mgr.None) (mgr.None, error) { panic("canary") }
		d := start(t, nil, append(newTestCommands().commands(),
			mgr.Func("on", "", mgr.Read, panics), mgr.Async("beside", "", mgr.Read, panics),
			mgr.Func("reply", "", mgr.Read, func(context.Context, mgr.None) (explosive, error) { return explosive{}, nil }),
			mgr.Func("argument", "", mgr.Read, func(context.Context, *explosive) (mgr.None, error) { return mgr.None{}, nil }, mgr.AnyArguments()),
			mgr.Func("arguments", "", mgr.Read, func(context.Context, struct{ E explosive }) (mgr.None, error) { return mgr.None{}, nil }),
			mgr.Func("infinite", "", mgr.Read, func(context.Context, mgr.None) (any, error) { return make(chan int), nil }),
		)...)
		for _, request := range []string{`"on"`, `"beside"`, `"reply"`, `"arguments","arguments":{"E":1}`, `"infinite"`} {
			r := d.call(`{"command":` + request + `}`)
			require.Equal(t, reply{Result: 500, Text: "internal error; the daemon's log says more", Error: details("internal")}, r, request)
		}
		require.Equal(t, 1.0, d.call(`{"command":"count"}`).Arguments)
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
