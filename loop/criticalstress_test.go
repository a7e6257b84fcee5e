package loop_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/loop"
)

// A thread is a participant with a goroutine of its own. It pauses between two pieces of work, and vetoes at random. It
// counts violations of the rules.
type thread struct {
	state  *int // what it reads without a lock
	asked  chan func()
	exited chan struct{}
	pauses int
	wrong  atomic.Int64
}

func (th *thread) Check() error {
	if rand.N(20) == 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func (th *thread) Enter(done func()) {
	th.pauses++
	th.asked <- done
}

func (th *thread) Exit() {
	th.pauses--
	th.exited <- struct{}{}
}

func (th *thread) work() {
	for {
		select {
		case done, more := <-th.asked:
			if !more {
				return
			}
			for range rand.N(20) {
				runtime.Gosched()
			}
			done()
			<-th.exited
			done() // late
		default:
			before := *th.state
			runtime.Gosched()
			if *th.state != before {
				th.wrong.Add(1)
			}
		}
	}
}

// TestCriticalSectionAtRandom calls Do, ends contexts and closes the loop at random times. Each function runs once, no function
// is inside while a thread works, and each pause ends.
func TestCriticalSectionAtRandom(t *testing.T) {
	for range 200 {
		l := loop.New()
		var section loop.CriticalSection
		var threads [3]*thread
		var working, asking sync.WaitGroup
		state := 0
		for i := range threads {
			threads[i] = &thread{state: &state, asked: make(chan func(), 1000), exited: make(chan struct{}, 1000)}
			require.NoError(t, section.Add(string(rune('a'+i)), threads[i]))
			working.Go(threads[i].work)
		}
		var told, accepted, inside, elsewhere, where atomic.Int64
		for range 4 {
			asking.Go(func() {
				for range 10 {
					ctx, cancel := context.WithCancel(context.Background())
					ask := func() {
						section.Do(ctx, l, func(err error) {
							told.Add(1)
							if err == nil {
								inside.Add(1)
								if goroutine() != where.Load() {
									elsewhere.Add(1)
								}
								state++
								state++
							}
						})
					}
					if l.Post(ask) == nil {
						accepted.Add(1)
					}
					for range rand.N(50) {
						runtime.Gosched()
					}
					cancel()
				}
			})
		}
		if rand.N(2) == 0 {
			asking.Go(l.Close)
		}
		ended := make(chan error, 1)
		go func() {
			where.Store(goroutine())
			ended <- l.Run(context.Background())
		}()
		asking.Wait()
		for told.Load() != accepted.Load() {
			runtime.Gosched()
		}
		l.Close()
		require.NoError(t, <-ended)
		for _, th := range threads {
			close(th.asked)
		}
		working.Wait()
		for _, th := range threads {
			require.Zero(t, th.pauses)
			require.Zero(t, th.wrong.Load())
		}
		require.EqualValues(t, 2*inside.Load(), state)
		require.Zero(t, elsewhere.Load())
		require.Zero(t, section.Depth())
	}
}

// goroutine returns the number of the calling goroutine.
func goroutine() (n int64) {
	var stack [64]byte
	_, _ = fmt.Sscanf(string(stack[:runtime.Stack(stack[:], false)]), "goroutine %d ", &n)
	return n
}
