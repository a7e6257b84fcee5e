package ctxio_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"

	"github.com/stretchr/testify/require"
)

var errCause = errors.New("the cause")

func TestAcceptReturnsValueErrorCauseOrErrClosed(t *testing.T) {
	ready, failed, closed := make(chan int, 1), make(chan error, 1), make(chan struct{})
	ready <- 7
	n, err := ctxio.Accept(t.Context(), closed, ready, failed)
	require.NoError(t, err)
	require.Equal(t, 7, n)

	failed <- errCause
	_, err = ctxio.Accept(t.Context(), closed, ready, failed)
	require.ErrorIs(t, err, errCause)

	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(errCause) })
	_, err = ctxio.Accept(ctx, closed, ready, nil)
	require.ErrorIs(t, err, errCause)

	ready <- 8
	_, err = ctxio.Accept(ctx, closed, ready, nil)
	require.ErrorIs(t, err, errCause, "an ended context is checked before the queue")

	close(closed)
	_, err = ctxio.Accept(ctx, closed, ready, failed)
	require.ErrorIs(t, err, net.ErrClosed, "a closed listener is checked first")
}

func TestNoDeadlineRemainsAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deadlines []time.Time
		set := func(d time.Time) error { deadlines = append(deadlines, d); return nil }
		ctx, cancel := context.WithCancel(t.Context())

		ctxio.SetDeadlineOnDone(ctx, set)()
		ctxio.SetDeadlineOnDone(context.Background(), set)()
		require.Empty(t, deadlines, "no context ended")

		stop := ctxio.SetDeadlineOnDone(ctx, set)
		cancel()
		synctest.Wait()
		require.Equal(t, []time.Time{ctxio.LongAgo}, deadlines)
		stop()
		require.Equal(t, []time.Time{ctxio.LongAgo, {}}, deadlines)
	})
}

func TestWatcherCallsForLastContextOnlyAndNotAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w ctxio.Watcher
		calls := 0
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		third, cancelThird := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{first, first, second, second} {
			w.Watch(ctx, func() { calls++ })
		}
		cancelFirst()
		synctest.Wait()
		require.Zero(t, calls)
		cancelSecond()
		synctest.Wait()
		require.Equal(t, 1, calls)
		w.Watch(third, func() { calls++ })
		w.Close()
		w.Watch(t.Context(), func() { calls++ })
		cancelThird()
		synctest.Wait()
		require.Equal(t, 1, calls)
	})
}

// A write with a context that cannot end is the rule for the manager: it allocates nothing.
func TestWriteDeadlineOfEndlessContextAllocatesNothing(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() { ctxio.SetWriteDeadlineOnDone(context.Background(), a)() }))
}
