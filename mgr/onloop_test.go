package mgr_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestOnLoopReturnsErrorOfFunction(t *testing.T) {
	on := func(ctx context.Context, _ mgr.None) (mgr.None, error) {
		return mgr.None{}, mgr.OnLoop(ctx, func() error { return errors.New("f's own error") })
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil,
			mgr.Func("func", "", mgr.Read, on),
			mgr.Async("async", "", mgr.Read, on),
			mgr.Async("panics", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
				return mgr.None{}, mgr.OnLoop(ctx, func() error { panic("canary") })
			}),
			mgr.Async("foreign", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
				return on(context.Background(), mgr.None{})
			}),
			mgr.Async("derived", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return on(ctx, mgr.None{})
			}),
		)
		for command, want := range map[string]string{
			"func":    "OnLoop is for Async commands; the handler of 'func' is on the loop already",
			"async":   "f's own error",
			"panics":  "internal error; the daemon's log says more",
			"foreign": "OnLoop needs the context that a handler was given",
			"derived": "f's own error",
		} {
			require.Equal(t, want, d.call(`{"command":"`+command+`"}`).Text, command)
		}
		require.Zero(t, d.call(`{"command":"whoami"}`).Result)
		require.NoError(t, d.end())
		synctest.Wait()
		require.Contains(t, d.log.String(), "canary")
	})
}

// A function that has not begun when the context ends never runs. OnLoop waits for one that has begun.
func TestOnLoopWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs, ran := make(chan error, 2), 0
		d := start(t, nil, append(newTestCommands().commands(),
			mgr.Async("short", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
				ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errors.New("too long"))
				defer cancel()
				errs <- mgr.OnLoop(ctx, func() error {
					ran++
					time.Sleep(30 * time.Second)
					return errors.New("done")
				})
				return mgr.None{}, nil
			}))...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"doze","arguments":{"seconds":5},"id":1}`)
		synctest.Wait()
		c.send(`{"command":"short","id":2}`)
		require.Equal(t, 2.0, c.receive().ID)
		require.EqualError(t, <-errs, "too long")
		require.Equal(t, 1.0, c.receive().ID)
		c.send(`{"command":"short","id":3}`)
		require.Equal(t, 3.0, c.receive().ID)
		require.EqualError(t, <-errs, "done")
		require.Equal(t, 1, ran)
	})
}

// OnLoop returns ErrClosed in a handler that outlives the drain.
func TestOnLoopAfterDrainReturnsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan error)
		d := prepare(t, nil, mgr.Async("late", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(time.Hour)
			said <- mgr.OnLoop(ctx, func() error { panic("never") })
			return mgr.None{}, nil
		}))
		run(t, d)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"late","timeout":1,"id":1}`)
		require.Equal(t, 408, c.receive().Result)
		require.NoError(t, d.end(), "it has been answered")
		require.ErrorIs(t, <-said, loop.ErrClosed)
	})
}

// A call whose handler waits in OnLoop when its peer leaves is recorded as cancelled.
func TestDepartureWhileOnLoopWaitsIsRecordedAsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), mgr.Async("enter", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			return mgr.None{}, mgr.OnLoop(ctx, func() error { panic("never") })
		}))...)
		holds, leaves := d.dial(), d.dial()
		defer holds.close()
		holds.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		leaves.send(`{"command":"enter","id":1}`)
		synctest.Wait()
		leaves.close()
		synctest.Wait()
		calls := d.seen.results()
		require.Len(t, calls, 1)
		require.Equal(t, "enter", calls[0].Name)
		require.Equal(t, wire.CodeCancelled, calls[0].Code)
		s.release <- struct{}{}
		require.Zero(t, holds.receive().Result)
	})
}
