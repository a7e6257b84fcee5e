package mgr_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// TestQueuedWhenThePeerLeaves: a request with an id is dropped, and recorded as cancelled; one without
// runs all the same (Kea).
func TestQueuedWhenThePeerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShip()
		d := start(t, nil, s.commands()...)
		holds, session, last := d.dial(), d.dial(), d.dial()
		defer holds.leave()
		holds.say(`{"command":"hold","id":1}`)
		synctest.Wait()
		session.say(`{"command":"count","id":1}{"command":"count","timeout":60,"id":2}`)
		last.say(`{"command":"count"}`)
		time.Sleep(mgr.ReadsOn)
		session.leave()
		last.leave()
		synctest.Wait()
		s.release <- struct{}{}
		require.Zero(t, holds.hear().Result)
		synctest.Wait()
		require.Equal(t, 1, s.count)
		codes := map[wire.Code]int{}
		for _, call := range d.seen.results() {
			if call.Name == "count" {
				codes[call.Code]++
			}
		}
		require.Equal(t, map[wire.Code]int{wire.CodeCancelled: 2, wire.CodeSuccess: 1}, codes)
		require.Equal(t, 1, d.Count().Speaking)
	})
}

// TestHalfClosedIsNotGone: the last word of a session cancels nothing.
func TestHalfClosedIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		c := d.dial()
		c.say(`{"command":"doze","arguments":{"seconds":5},"id":1}{"command":"count","id":2}{"command":"count","id":3}`)
		c.halfClose()
		require.Len(t, c.hearAll(3), 3)
		c.eof()
	})
}

// TestAsyncEndsWhenItsPeerLeaves: its context says so, with an id and without.
func TestAsyncEndsWhenItsPeerLeaves(t *testing.T) {
	for _, request := range []string{`{"command":"linger","id":1}`, `{"command":"linger"}`, "{\"command\":\"linger\"}\n# bye\n"} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan time.Duration, 1)
			d := start(t, nil, mgr.Async("linger", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
				began := time.Now()
				<-ctx.Done()
				ended <- time.Since(began)
				return mgr.None{}, ctx.Err()
			}))
			c := d.dial()
			c.say(request)
			time.Sleep(time.Minute)
			c.leave()
			require.Equal(t, time.Minute, <-ended)
			synctest.Wait()
			require.Equal(t, wire.CodeCancelled, d.seen.results()[0].Code)
		})
	}
}

// TestHandlerOnTheLoopSeesDeparture: its context ends too, for one that looks.
func TestHandlerOnTheLoopSeesDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		d := start(t, nil, mgr.Func("look", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(time.Minute)
			ended <- ctx.Err()
			return mgr.None{}, ctx.Err()
		}))
		c := d.dial()
		c.say(`{"command":"look","id":1}`)
		synctest.Wait()
		c.leave()
		require.ErrorIs(t, <-ended, context.Canceled)
		synctest.Wait()
		require.Equal(t, wire.CodeCancelled, d.seen.results()[0].Code)
	})
}

// TestDepartureWhileDraining: it is noticed like at any other time.
func TestDepartureWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		c := d.dial()
		c.say(`{"command":"park","id":1}{"command":"park","timeout":2,"id":2}{"command":"park","id":3}`)
		synctest.Wait()
		began := time.Now()
		d.stop()
		require.Equal(t, 408, c.hear().Result)
		time.Sleep(time.Second)
		c.leave()
		require.NoError(t, d.end())
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}
