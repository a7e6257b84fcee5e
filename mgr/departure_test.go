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

// When the peer leaves, a queued request with an id is dropped, and recorded as cancelled. A request without an id runs (Kea's
// rule).
func TestDepartureDropsQueuedCallsWithID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		holds, session, last := d.dial(), d.dial(), d.dial()
		defer holds.close()
		holds.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		session.send(`{"command":"count","id":1}{"command":"count","timeout":60,"id":2}`)
		last.send(`{"command":"count"}`)
		time.Sleep(mgr.MaxReplyWait)
		session.close()
		last.close()
		synctest.Wait()
		s.release <- struct{}{}
		require.Zero(t, holds.receive().Result)
		synctest.Wait()
		require.Equal(t, 1, s.count)
		codes := map[wire.Code]int{}
		for _, call := range d.seen.results() {
			if call.Name == "count" {
				codes[call.Code]++
			}
		}
		require.Equal(t, map[wire.Code]int{wire.CodeCancelled: 2, wire.CodeSuccess: 1}, codes)
		require.Equal(t, 1, d.Count().Conns)
	})
}

// A peer that closes only its writing side gets all replies.
func TestHalfClosedPeerGetsAllReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		c := d.dial()
		c.send(`{"command":"doze","arguments":{"seconds":5},"id":1}{"command":"count","id":2}{"command":"count","id":3}`)
		c.closeWrite()
		require.Len(t, c.receiveAll(3), 3)
		c.requireEOF()
	})
}

// The context of an Async command ends when its peer leaves, with an id and without.
func TestDepartureEndsContextOfAsyncCommand(t *testing.T) {
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
			c.send(request)
			time.Sleep(time.Minute)
			c.close()
			require.Equal(t, time.Minute, <-ended)
			synctest.Wait()
			require.Equal(t, wire.CodeCancelled, d.seen.results()[0].Code)
		})
	}
}

// The context of a handler on the loop ends when its peer leaves.
func TestDepartureEndsContextOfHandlerOnLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		d := start(t, nil, mgr.Func("look", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(time.Minute)
			ended <- ctx.Err()
			return mgr.None{}, ctx.Err()
		}))
		c := d.dial()
		c.send(`{"command":"look","id":1}`)
		synctest.Wait()
		c.close()
		require.ErrorIs(t, <-ended, context.Canceled)
		synctest.Wait()
		require.Equal(t, wire.CodeCancelled, d.seen.results()[0].Code)
	})
}

// A departure during a drain ends the calls of the peer.
func TestDepartureDuringDrainEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		c := d.dial()
		c.send(`{"command":"park","id":1}{"command":"park","timeout":2,"id":2}{"command":"park","id":3}`)
		synctest.Wait()
		began := time.Now()
		d.stop()
		require.Equal(t, 408, c.receive().Result)
		time.Sleep(time.Second)
		c.close()
		require.NoError(t, d.end())
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}
