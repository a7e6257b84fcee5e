package loop_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/loop"
)

func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := loop.NewPool(2, 3)
		release := make(chan struct{})
		var began, ended []int
		var mu sync.Mutex
		submit := func(i int) error {
			return p.Submit(func() {
				mu.Lock()
				began = append(began, i)
				mu.Unlock()
				<-release
				mu.Lock()
				ended = append(ended, i)
				mu.Unlock()
			})
		}
		require.NoError(t, submit(0))
		require.NoError(t, submit(0))
		synctest.Wait()
		for i := range 3 {
			require.NoError(t, submit(i+1))
		}
		require.ErrorIs(t, submit(4), loop.ErrFull)
		synctest.Wait()
		require.Equal(t, []int{0, 0}, began, "no more than there are workers")

		paused := make(chan struct{})
		p.Pause(func() { close(paused) })
		release <- struct{}{}
		synctest.Wait()
		select {
		case <-paused:
			t.Fatal("one still runs")
		default:
		}
		release <- struct{}{}
		<-paused
		require.Len(t, ended, 2)
		require.Equal(t, []int{0, 0}, began)

		again := false
		p.Pause(func() { again = true })
		require.True(t, again, "nothing runs")
		p.Resume()
		synctest.Wait()
		require.Len(t, began, 2, "pauses are counted")
		p.Resume()
		close(release)
		p.Close()
		require.ElementsMatch(t, []int{0, 0, 1, 2, 3}, ended)
		require.ErrorIs(t, submit(5), loop.ErrClosed)
		closed := false
		p.Enter(func() { closed = true })
		require.True(t, closed)
		p.Exit()
		require.Panics(t, p.Exit)
	})
}

// TestResumeBeforeThePoolHasPausedDropsDone: done is not called later either.
func TestResumeBeforeThePoolHasPausedDropsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := loop.NewPool(1, 1)
		release := make(chan struct{})
		require.NoError(t, p.Submit(func() { <-release }))
		synctest.Wait()
		p.Pause(func() { t.Error("told") })
		p.Resume()
		close(release)
		synctest.Wait()
		p.Close()
	})
}

// TestCloseOfAPausedPoolWaitsForResume: it runs the queued tasks then.
func TestCloseOfAPausedPoolWaitsForResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := loop.NewPool(2, 2)
		p.Pause(func() {})
		ran := false
		require.NoError(t, p.Submit(func() { ran = true }))
		var closed atomic.Bool
		go func() {
			p.Close()
			closed.Store(true)
		}()
		synctest.Wait()
		require.False(t, closed.Load())
		p.Resume()
		synctest.Wait()
		require.True(t, closed.Load())
		require.True(t, ran)
	})
}

// TestPoolInACriticalSection is for the race detector: tasks read without locks the data that functions inside change. No task
// sees a part of a change.
func TestPoolInACriticalSection(t *testing.T) {
	const changes = 3600 // one each second for an hour
	var section loop.CriticalSection
	pool := loop.NewPool(4, 64)
	require.NoError(t, section.Add("pool", pool))
	l := loop.New()
	var state [4]int // plain memory
	var seen, torn atomic.Int64
	task := func() {
		first := state[0]
		for _, s := range state {
			if s != first {
				torn.Add(1)
			}
		}
		seen.Add(1)
	}
	var load sync.WaitGroup
	for range 2 {
		load.Go(func() { // full load: as many as fit, all the time
			for {
				if errors.Is(pool.Submit(task), loop.ErrClosed) {
					return
				}
			}
		})
	}
	var change func()
	change = func() {
		section.Do(context.Background(), l, func(err error) {
			if err != nil {
				panic(err)
			}
			for i := range state {
				state[i]++
			}
			if state[0] < changes || seen.Load() == 0 { // the load may need a while to begin
				_ = l.Post(change)
			} else {
				l.Close()
			}
		})
	}
	require.NoError(t, l.Post(change))
	require.NoError(t, l.Run(t.Context()))
	pool.Close()
	load.Wait()
	require.Zero(t, torn.Load())
	require.GreaterOrEqual(t, state[0], changes)
	require.Equal(t, [4]int{state[0], state[0], state[0], state[0]}, state)
}
