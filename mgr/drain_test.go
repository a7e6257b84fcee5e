package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A drain answers running and queued calls, on the loop and off the loop, with ids and without. Then each conn is closed, and
// no peer can connect.
func TestDrainAnswersAcceptedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newTestCommands().commands(), mgr.Async("nap", "", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(2 * time.Second)
			return mgr.None{}, mgr.OnLoop(ctx, func() error { return nil })
		}))...)
		busy, last, idle, partial := d.dial(), d.dial(), d.dial(), d.dial()
		busy.send(`{"command":"doze","arguments":{"seconds":1},"id":1}{"command":"count","id":2}{"command":"nap","id":3}`)
		synctest.Wait()
		last.send(`{"command":"count"}`)
		partial.send(`{"command":"cou`)
		synctest.Wait()
		began := time.Now()
		d.stop()
		synctest.Wait()
		idle.requireEOF()
		partial.requireEOF()
		require.Zero(t, time.Since(began))
		_, err := d.tr.DialBytes(t.Context())
		require.Error(t, err)
		require.Equal(t, 1.0, busy.receive().ID)
		require.Equal(t, reply{ID: 2.0, Arguments: 1.0}, busy.receive())
		require.Equal(t, 2.0, last.receive().Arguments)
		last.requireEOF()
		require.Equal(t, 3.0, busy.receive().ID)
		busy.requireEOF()
		require.NoError(t, d.end())
		require.Equal(t, 2*time.Second, time.Since(began))
		select {
		case <-d.Done():
		default:
			require.Fail(t, "it is not done")
		}
	})
}

// Requests that arrived before the drain and were not accepted are refused.
func TestDrainRefusesLaterCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, s.commands()...)
		c := d.dial()
		c.send(`{"command":"hold","id":1}{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		d.stop()
		synctest.Wait()
		s.release <- struct{}{}
		replies := c.receiveAll(4)
		require.Equal(t, 1.0, replies[2.0].Arguments)
		for _, id := range []any{3.0, 4.0} {
			require.Equal(t, reply{ID: id, Result: 503, Text: "the daemon is shutting down and takes no more commands", Error: details("shutting-down")}, replies[id])
		}
		c.requireEOF()
	})
}

// The command that ends the daemon is answered, and so are the calls before it.
func TestCommandThatEndsDaemonIsAnswered(t *testing.T) {
	for _, how := range []func(name, summary string, level mgr.Level, h func(context.Context, mgr.None) (string, error), opts ...mgr.Option) mgr.Command{
		mgr.Func[mgr.None, string], mgr.Async[mgr.None, string],
	} {
		for _, id := range []string{``, `,"id":2`} {
			synctest.Test(t, func(t *testing.T) {
				var d *daemon
				d = start(t, nil, append(newTestCommands().commands(), how("shutdown", "", mgr.Admin, func(context.Context, mgr.None) (string, error) {
					d.stop()
					return "bye", nil
				}))...)
				c := d.dial()
				c.send(`{"command":"count","id":1}{"command":"shutdown"` + id + `}`)
				replies := c.receiveAll(2)
				require.Equal(t, 1.0, replies[1.0].Arguments)
				delete(replies, 1.0)
				for _, r := range replies {
					require.Equal(t, "bye", r.Arguments)
				}
				c.requireEOF()
				require.NoError(t, <-d.ended)
				d.ended <- nil
			})
		}
	}
}

func TestShutdownInAHandlerIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		wait := func(ctx context.Context, _ mgr.None) (mgr.None, error) { return mgr.None{}, d.Shutdown(ctx) }
		d = start(t, nil, mgr.Func("quit", "", mgr.Admin, wait), mgr.Async("leave", "", mgr.Admin, wait))
		for _, name := range []string{"quit", "leave"} {
			r := d.call(`{"command":"` + name + `"}`)
			require.Equal(t, "the command '"+name+"' cannot wait for a drain that waits for it; end the context that Run was given instead", r.Text)
		}
		require.Zero(t, d.call(`{"command":"whoami"}`).Result)
	})
}

// After its timeout the drain closes the conns that are left, reports their number, and leaves nothing behind.
func TestDrainTimeoutClosesConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := prepare(t, &mgr.Options{Limits: mgr.Limits{DrainTimeout: 3 * time.Second, MaxInFlight: 1000}}, s.commands()...)
		ctx, stop := context.WithCancel(t.Context())
		go func() { d.ended <- d.Run(ctx) }()
		var cut []*rawClient
		for range 3 {
			c := d.dial()
			c.send(`{"command":"park","id":"p"}`)
			cut = append(cut, c)
		}
		cut[0].send(`{"command":"hold","id":"h"}`)
		synctest.Wait()
		for i := range 600 { // more than one run of the queue serves
			cut[1].send(fmt.Sprintf(`{"command":"count","id":%d}`, i))
		}
		last := d.dial()
		last.send(`{"command":"count"}`)
		synctest.Wait()
		began := time.Now()
		stop()
		for _, c := range append(cut, last) {
			c.requireEOF()
		}
		require.Equal(t, 3*time.Second, time.Since(began))
		s.release <- struct{}{}
		err := <-d.ended
		require.EqualError(t, err, "drain: 4 conns were closed before their commands were answered: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.Zero(t, d.Count())
		require.Equal(t, 1, s.count, "without an id it runs all the same")
	})
}

// Each call of Shutdown waits for the same drain.
func TestSeveralShutdownsWaitForSameDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		c := d.dial()
		c.send(`{"command":"doze","arguments":{"seconds":5},"id":1}`)
		synctest.Wait()
		results := make(chan error)
		for range 3 {
			go func() { results <- d.Shutdown(context.Background()) }()
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("too long"))
		defer cancel()
		require.NoError(t, d.Shutdown(ctx))
		require.Zero(t, c.receive().Result)
		c.requireEOF()
		for range 3 {
			require.NoError(t, <-results)
		}
		require.NoError(t, d.Shutdown(t.Context()))
		require.NoError(t, <-d.ended, "Run ends too")
		d.ended <- nil
	})
}

// A drain waits for calls of Process.
func TestDrainWaitsForProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		replies := make(chan wire.Reply, 1)
		go func() {
			reply, err := d.Process(context.Background(), wire.Request{Command: "doze", Arguments: wire.Value(`{"seconds":5}`)})
			require.NoError(t, err)
			replies <- reply
		}()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, d.end())
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Zero(t, (<-replies).Code)
	})
}
