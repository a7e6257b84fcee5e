package ctxio

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The function that waits for the end of one context may run when Watch has another context already. Then it does nothing.
func TestEndOfTheContextBeforeSetsNoDeadline(t *testing.T) {
	for range 2000 {
		last := make(chan time.Time, 10)
		d := Deadline{Set: func(t time.Time) error { last <- t; return nil }}
		ctx, cancel := context.WithCancel(context.Background())
		d.Watch(ctx)
		d.mu.Lock()
		cancel()          // from now on the function waits for d.mu
		runtime.Gosched() // so that it begins to
		d.mu.Unlock()
		require.True(t, d.Watch(context.Background()))
		runtime.Gosched()
		d.mu.Lock()
		var deadline time.Time
		for len(last) > 0 {
			deadline = <-last
		}
		d.mu.Unlock()
		require.True(t, deadline.IsZero(), "the deadline of the context before is in force")
	}
}

func TestDeadlineOfAnEndedContextIsSetAndRemoved(t *testing.T) {
	set := make(chan time.Time, 10)
	d := Deadline{Set: func(t time.Time) error { set <- t; return nil }}
	ctx, cancel := context.WithCancel(context.Background())
	require.False(t, d.Watch(ctx))
	require.False(t, d.Watch(ctx))
	cancel()
	require.Equal(t, LongAgo, <-set)
	require.True(t, d.Watch(context.Background()))
	require.True(t, (<-set).IsZero())
	d.Close()
	require.False(t, d.Watch(ctx)) // it has ended, and is not watched any more
	require.Empty(t, set)
}

func TestDeadlineWatchesNoContextAfterClose(t *testing.T) {
	d := Deadline{Set: func(time.Time) error { return nil }}
	d.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.Watch(ctx) // a Receive at the time of Close
	require.Nil(t, d.cancel)
}
