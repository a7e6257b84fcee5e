package loop_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/loop/looptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A Loop keeps the promises of a Poster, however it runs; so does an event loop of another kind.
func TestEachWayToRunALoopKeepsThePromisesOfAPoster(t *testing.T) {
	for name, newPoster := range map[string]func(testing.TB) (loop.Poster, func(context.Context)){
		"Run": func(testing.TB) (loop.Poster, func(context.Context)) {
			l := loop.New()
			return l, func(ctx context.Context) { _ = l.Run(ctx) }
		},
		"RunOne": func(testing.TB) (loop.Poster, func(context.Context)) {
			l := loop.New()
			return l, func(ctx context.Context) {
				for l.RunOne(ctx) == nil {
				}
			}
		},
		"Ready and Poll": func(testing.TB) (loop.Poster, func(context.Context)) {
			l := loop.New()
			return l, func(ctx context.Context) { selectLoop(ctx, l, l.Poll) }
		},
		"Ready and PollOne": func(testing.TB) (loop.Poster, func(context.Context)) {
			l := loop.New()
			return l, func(ctx context.Context) { selectLoop(ctx, l, l.PollOne) }
		},
		"closed at the end": func(testing.TB) (loop.Poster, func(context.Context)) {
			l := loop.New()
			return l, func(ctx context.Context) {
				defer context.AfterFunc(ctx, l.Close)()
				_ = l.Run(context.Background())
			}
		},
		"foreign": func(t testing.TB) (loop.Poster, func(context.Context)) {
			f := newForeign(t)
			return f, f.run
		},
	} {
		t.Run(name, func(t *testing.T) { looptest.Test(t, newPoster) })
	}
}

func selectLoop(ctx context.Context, l *loop.Loop, poll func() int) {
	for {
		select {
		case <-l.Ready():
			poll()
		case <-ctx.Done():
			return
		}
	}
}

// An event loop without a Loop: one goroutine has the queue, another one runs the functions.
type foreign struct {
	in, out chan func()
	gone    chan struct{}
}

func newForeign(t testing.TB) *foreign {
	f := &foreign{make(chan func()), make(chan func()), make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(f.keep)
	t.Cleanup(func() {
		close(f.gone)
		wg.Wait()
	})
	return f
}

func (f *foreign) keep() {
	var queue []func()
	for {
		out, first := f.out, func() {}
		if len(queue) == 0 {
			out = nil
		} else {
			first = queue[0]
		}
		select {
		case g := <-f.in:
			queue = append(queue, g)
		case out <- first:
			queue = queue[1:]
		case <-f.gone:
			return
		}
	}
}

func (f *foreign) Post(g func()) error {
	select {
	case f.in <- g:
		return nil
	case <-f.gone:
		return errors.New("gone")
	}
}

func (f *foreign) run(ctx context.Context) {
	for {
		select {
		case g := <-f.out:
			g()
		case <-ctx.Done():
			return
		}
	}
}

// Run runs the posted functions in order, and waits for more until Close.
func TestRunRunsFunctionsUntilClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		var ran []int // the loop's
		for i := range 3 {
			require.NoError(t, l.Post(func() { ran = append(ran, i) }))
		}
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
		synctest.Wait()
		require.Empty(t, done)
		require.NoError(t, l.Post(func() { ran = append(ran, 3) }))
		l.Close()
		require.Equal(t, loop.ErrClosed, l.Post(func() { panic("refused") }))
		require.NoError(t, <-done)
		require.Equal(t, []int{0, 1, 2, 3}, ran)
		require.NoError(t, l.Run(t.Context()), "once more")
		require.Zero(t, l.Poll())
	})
}

// Close ends a Run that waits with an empty queue.
func TestCloseEndsAWaitingRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
		synctest.Wait()
		l.Close()
		l.Close()
		require.NoError(t, <-done)
	})
}

// If a function on the loop calls Close, the queued functions still run, and their Posts are refused.
func TestCloseFromAFunctionStillRunsTheQueue(t *testing.T) {
	l := loop.New()
	var ran []string
	require.NoError(t, l.Post(func() {
		l.Close()
		l.Close()
		require.ErrorIs(t, l.Post(func() { panic("refused") }), loop.ErrClosed)
		ran = append(ran, "first")
	}))
	require.NoError(t, l.Post(func() { ran = append(ran, "second") }))
	require.NoError(t, l.Run(t.Context()))
	require.Equal(t, []string{"first", "second"}, ran)
}

// If Close and Post race, exactly the functions run whose Post has returned nil.
func TestCloseWhilePostingRunsExactlyTheAcceptedFunctions(t *testing.T) {
	for range 200 {
		l := loop.New()
		var accepted atomic.Int64
		ran := 0 // the loop's
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 50 {
					if err := l.Post(func() { ran++ }); err == nil {
						accepted.Add(1)
					} else if !errors.Is(err, loop.ErrClosed) {
						t.Error(err)
					}
				}
				if i == 0 {
					l.Close()
				}
			})
		}
		require.NoError(t, l.Run(t.Context()))
		wg.Wait()
		require.EqualValues(t, accepted.Load(), ran)
	}
}

// When ctx ends, Run leaves the queued functions for Poll or another Run.
func TestEndOfContextLeavesTheQueue(t *testing.T) {
	l := loop.New()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var ran []int
	for i := range 4 {
		require.NoError(t, l.Post(func() {
			if ran = append(ran, i); i == 1 {
				cancel(why)
				require.NoError(t, l.Post(func() { ran = append(ran, 4) }))
			}
		}))
	}
	require.Equal(t, why, l.Run(ctx))
	require.Equal(t, []int{0, 1}, ran)
	require.Equal(t, why, l.Run(ctx), "an ended context runs nothing")
	require.Equal(t, why, l.RunOne(ctx))
	require.Equal(t, []int{0, 1}, ran)
	require.Len(t, l.Ready(), 1)
	require.Equal(t, 3, l.Poll())
	require.Equal(t, []int{0, 1, 2, 3, 4}, ran, "in the order of acceptance")
	require.Zero(t, l.Poll())
}

// If the cause of ctx is ErrClosed, of another loop, Run returns it and this loop stays open.
func TestErrClosedAsCauseOfTheContextDoesNotCloseTheLoop(t *testing.T) {
	l := loop.New()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(loop.ErrClosed)
	require.NoError(t, l.Post(func() { panic("the context has ended") }))
	require.ErrorIs(t, l.Run(ctx), loop.ErrClosed)
}

// The end of its context wakes a Run that waits.
func TestEndOfContextWakesAWaitingRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		why := errors.New("why")
		for _, run := range []func(context.Context) error{l.Run, l.RunOne} {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error, 1)
			go func() { done <- run(ctx) }()
			synctest.Wait()
			cancel(why)
			require.Equal(t, why, <-done)
		}
	})
}

func TestRunOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		ran := 0
		require.NoError(t, l.Post(func() { ran++ }))
		require.NoError(t, l.Post(func() { ran++ }))
		require.NoError(t, l.RunOne(t.Context()))
		require.Equal(t, 1, ran)
		require.NoError(t, l.RunOne(t.Context()))
		require.Equal(t, 2, ran)

		done := make(chan error, 1)
		go func() { done <- l.RunOne(t.Context()) }()
		synctest.Wait()
		require.Empty(t, done, "it waits")
		require.NoError(t, l.Post(func() { ran++ }))
		require.NoError(t, <-done)
		require.Equal(t, 3, ran)

		require.NoError(t, l.Post(func() { ran++ }))
		l.Close()
		require.NoError(t, l.RunOne(t.Context()))
		require.Equal(t, 4, ran)
		require.Equal(t, loop.ErrClosed, l.RunOne(t.Context()))
	})
}

// Poll runs the functions that are queued when it is called, and not those that these post. It does not wait.
func TestPollRunsOnlyTheFunctionsQueuedBefore(t *testing.T) {
	l := loop.New()
	require.Zero(t, l.Poll())
	require.Zero(t, l.PollOne())
	var ran []string
	for _, name := range []string{"a", "b"} {
		require.NoError(t, l.Post(func() {
			ran = append(ran, name)
			require.NoError(t, l.Post(func() { ran = append(ran, name+name) }))
		}))
	}
	require.Equal(t, 2, l.Poll())
	require.Equal(t, []string{"a", "b"}, ran)
	require.Len(t, l.Ready(), 1)
	require.Equal(t, 2, l.Poll())
	require.Equal(t, []string{"a", "b", "aa", "bb"}, ran)
	require.Zero(t, l.Poll())
}

// Ready delivers while PollOne leaves functions in the queue, and then no more.
func TestReadyDeliversWhilePollOneLeavesFunctions(t *testing.T) {
	l := loop.New()
	var ran []int
	for i := range 3 {
		require.NoError(t, l.Post(func() { ran = append(ran, i) }))
	}
	for i := range 3 {
		<-l.Ready()
		require.Equal(t, 1, l.PollOne())
		require.Len(t, ran, i+1)
		if i == 0 { // behind those that wait
			require.NoError(t, l.Post(func() { ran = append(ran, 3) }))
		}
	}
	<-l.Ready()
	require.Equal(t, 1, l.Poll())
	require.Equal(t, []int{0, 1, 2, 3}, ran)
	require.Empty(t, l.Ready())
	require.Zero(t, l.PollOne())
}

// A Poll without Ready takes the token, and the next Post puts another one.
func TestReadyDeliversAfterAPollThatTookTheToken(t *testing.T) {
	l := loop.New()
	require.NoError(t, l.Post(func() {}))
	require.Equal(t, 1, l.Poll(), "without Ready")
	require.Empty(t, l.Ready())
	require.NoError(t, l.Post(func() {}))
	require.Len(t, l.Ready(), 1)
	require.Equal(t, 1, l.Poll())
	l.Close() // puts one token into Ready, though the queue is empty
	require.Zero(t, l.Poll())
	require.Empty(t, l.Ready())
}

const message = "loop: two goroutines run one loop, or one of its functions runs it again"

// Run, RunOne, Poll and PollOne panic in a function of the same loop, also if the queue is empty.
func TestRunInAFunctionOfTheLoopPanics(t *testing.T) {
	l := loop.New()
	for name, again := range map[string]func(){
		"Poll":    func() { l.Poll() },
		"PollOne": func() { l.PollOne() },
		"Run":     func() { _ = l.Run(context.Background()) },
		"RunOne":  func() { _ = l.RunOne(context.Background()) },
	} {
		require.NoError(t, l.Post(func() { require.PanicsWithValue(t, message, again, name) }))
		require.Equal(t, 1, l.Poll(), name)
	}
	require.NoError(t, l.Post(func() { l.Poll() }))
	require.PanicsWithValue(t, message, func() { l.Poll() })
	require.Zero(t, l.Poll())
}

// A second goroutine that runs the loop panics, also while the first one waits.
func TestSecondGoroutineThatRunsTheLoopPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New()
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(t.Context()) })
		synctest.Wait()
		for range 2 {
			require.PanicsWithValue(t, message, func() { l.Poll() })
			require.PanicsWithValue(t, message, func() { l.PollOne() })
			require.PanicsWithValue(t, message, func() { _ = l.Run(t.Context()) })
			require.PanicsWithValue(t, message, func() { _ = l.RunOne(t.Context()) })
		}
		busy, release := make(chan struct{}), make(chan struct{})
		require.NoError(t, l.Post(func() {
			close(busy)
			<-release
		}))
		<-busy
		require.PanicsWithValue(t, message, func() { l.Poll() })
		close(release)
		l.Close()
		wg.Wait()
		require.Zero(t, l.Poll(), "one after the other they may")
	})
}

// Poll passes on the panic of a function. The other functions stay in the queue in order, and the loop still works.
func TestPanicOfAFunctionLeavesTheOthersInTheQueue(t *testing.T) {
	l := loop.New()
	var ran []int
	for i := range 4 {
		require.NoError(t, l.Post(func() {
			if ran = append(ran, i); i == 1 {
				require.NoError(t, l.Post(func() { ran = append(ran, 4) }))
				panic("boom")
			}
		}))
	}
	require.PanicsWithValue(t, "boom", func() { l.Poll() })
	require.Equal(t, []int{0, 1}, ran)
	require.Len(t, l.Ready(), 1)
	require.NoError(t, l.Post(func() { ran = append(ran, 5) }))
	l.Close()
	require.NoError(t, l.Run(t.Context()))
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, ran)
}

// The same holds for Run, RunOne and PollOne, and for a function that calls runtime.Goexit.
func TestPanicInRunAndPollOneLeavesTheOthersInTheQueue(t *testing.T) {
	l := loop.New()
	for _, run := range []func(){
		func() { _ = l.Run(t.Context()) },
		func() { _ = l.RunOne(t.Context()) },
		func() { l.PollOne() },
	} {
		ran := false
		require.NoError(t, l.Post(func() { panic("boom") }))
		require.NoError(t, l.Post(func() { ran = true }))
		require.PanicsWithValue(t, "boom", run)
		require.Len(t, l.Ready(), 1)
		require.Equal(t, 1, l.Poll())
		require.True(t, ran)
	}

	ran := false
	require.NoError(t, l.Post(runtime.Goexit))
	require.NoError(t, l.Post(func() { ran = true }))
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(t.Context()) })
	wg.Wait()
	require.False(t, ran)
	require.Equal(t, 1, l.Poll())
	require.True(t, ran)
}

// The memory of a queue of a million functions is freed when they have run.
func TestMemoryOfALongQueueIsFreed(t *testing.T) {
	const n = 1_000_000
	for name, run := range map[string]func(l *loop.Loop){
		"Poll": func(l *loop.Loop) { l.Poll() },
		"PollOne": func(l *loop.Loop) {
			for l.PollOne() > 0 {
			}
		},
		"a panic": func(l *loop.Loop) {
			func() {
				defer func() { _ = recover() }()
				_ = l.Post(func() { panic("boom") })
				l.Poll()
			}()
			l.Poll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := loop.New()
			ran := 0
			before := heap()
			for range n {
				_ = l.Post(func() { ran++ })
			}
			require.Greater(t, heap(), before+8*n/2, "the test measures nothing")
			run(l)
			require.Equal(t, n, ran)
			require.Less(t, heap(), before+1<<20)
			runtime.KeepAlive(l)
		})
	}
}

// The array that a loop keeps for the next queue does not hold functions that have run.
func TestFunctionsThatHaveRunAreFreed(t *testing.T) {
	l := loop.New()
	collected := make(chan struct{})
	func() {
		large := new([1 << 20]byte)
		runtime.AddCleanup(large, func(c chan struct{}) { close(c) }, collected)
		_ = l.Post(func() { large[0]++ })
		_ = l.Post(func() {})
	}()
	require.Equal(t, 1, l.PollOne())
	for range 2 { // a cleanup runs some time after the collection
		runtime.GC()
	}
	<-collected
	runtime.KeepAlive(l)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
