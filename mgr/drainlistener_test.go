package mgr_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A secondListener is one more listener of a daemon. Tests drain it.
type secondListener struct {
	*mgr.Listener
	d  *daemon
	tr *pipe.Transport
}

func (d *daemon) secondListener() secondListener {
	d.t.Helper()
	tr := pipe.New()
	l, err := d.Open(d.t.Context(), tr)
	require.NoError(d.t, err)
	return secondListener{l, d, tr}
}

func (l secondListener) dial() *rawClient {
	l.d.t.Helper()
	end, err := l.tr.DialBytes(l.d.t.Context())
	require.NoError(l.d.t, err)
	return newRawClient(l.d.t, end)
}

// requireOtherListenerServes checks that a drain has not touched the daemon's first listener.
func (l secondListener) requireOtherListenerServes() {
	l.d.t.Helper()
	require.Zero(l.d.t, l.d.call(`{"command":"whoami"}`).Result)
}

func removed(id any) reply {
	return reply{ID: id, Result: 503, Text: "this listener was removed and takes no more commands; connect to another one", Error: details("shutting-down")}
}

func TestListenerDrainClosesIdleConnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		l := d.secondListener()
		fresh, used, partial := l.dial(), l.dial(), l.dial()
		other := d.dial()
		used.send(`{"command":"count","id":1}`)
		require.Zero(t, used.receive().Result)
		partial.send(`{"command":"cou`)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 3, l.Drain(time.Hour))
		fresh.requireEOF()
		used.requireEOF()
		partial.requireEOF()
		require.Zero(t, time.Since(began))
		_, err := l.tr.DialBytes(t.Context())
		require.Error(t, err)
		other.send(`{"command":"count","id":2}`)
		require.Equal(t, reply{ID: 2.0, Arguments: 2.0}, other.receive())
		l.requireOtherListenerServes()
		synctest.Wait()
		require.Zero(t, l.Drain(time.Hour), "the second time")
	})
}

func TestListenerDrainAnswersAcceptedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newTestCommands().commands(), mgr.Async("nap", "", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(2 * time.Second)
			return mgr.None{}, mgr.OnLoop(ctx, func() error { return nil })
		}))...)
		l := d.secondListener()
		busy, last := l.dial(), l.dial()
		busy.send(`{"command":"doze","arguments":{"seconds":1},"id":1}{"command":"count","id":2}{"command":"nap","id":3}`)
		synctest.Wait()
		last.send(`{"command":"count"}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 2, l.Drain(3*time.Second))
		require.Equal(t, 1.0, busy.receive().ID)
		require.Equal(t, reply{ID: 2.0, Arguments: 1.0}, busy.receive())
		require.Equal(t, 2.0, last.receive().Arguments)
		last.requireEOF()
		require.Equal(t, 3.0, busy.receive().ID)
		busy.requireEOF()
		require.Equal(t, 2*time.Second, time.Since(began))
		l.requireOtherListenerServes()
		time.Sleep(time.Minute)
		require.NotContains(t, d.log.String(), "removed listener", "no conn was left after the timeout")
	})
}

// Requests that arrived before the drain and were not accepted are refused.
func TestListenerDrainRefusesLaterCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, s.commands()...)
		l := d.secondListener()
		c := l.dial()
		c.send(`{"command":"hold","id":1}{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		l.Drain(time.Hour)
		synctest.Wait()
		s.release <- struct{}{}
		replies := c.receiveAll(4)
		require.Equal(t, 1.0, replies[2.0].Arguments)
		require.Equal(t, removed(3.0), replies[3.0])
		require.Equal(t, removed(4.0), replies[4.0])
		c.requireEOF()
		l.requireOtherListenerServes()
	})
}

func TestListenerDrainTimeoutClosesConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		l := d.secondListener()
		onLoop, queued, async := l.dial(), l.dial(), l.dial()
		other := d.dial()
		onLoop.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		queued.send(`{"command":"count"}`)
		async.send(`{"command":"park","id":1}`)
		other.send(`{"command":"count","id":1}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 3, l.Drain(3*time.Second))
		onLoop.requireEOF()
		async.requireEOF()
		require.NoError(t, queued.conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
		_, err := io.Copy(io.Discard, queued.in) // the conn may be closed before the refusal of the command is written
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
		synctest.Wait()
		require.Contains(t, d.log.String(), `"msg":"conns of a removed listener are closed before their commands are answered"`)
		require.Contains(t, d.log.String(), `"conns":3`)
		s.release <- struct{}{}
		require.Equal(t, reply{ID: 1.0, Arguments: 1.0}, other.receive(), "the queued command of the closed conn did not run")
		l.requireOtherListenerServes()
	})
}

func TestListenerDrainAnswersCommandThatDrains(t *testing.T) {
	for _, how := range []func(name, summary string, level mgr.Level, h func(context.Context, mgr.None) (int, error), opts ...mgr.Option) mgr.Command{
		mgr.Func[mgr.None, int], mgr.Async[mgr.None, int],
	} {
		for _, id := range []string{``, `,"id":2`} {
			synctest.Test(t, func(t *testing.T) {
				var l secondListener
				d := start(t, nil, append(newTestCommands().commands(), how("remove", "", mgr.Admin, func(context.Context, mgr.None) (int, error) {
					return l.Drain(time.Hour), nil
				}))...)
				l = d.secondListener()
				c, idle := l.dial(), l.dial()
				synctest.Wait()
				c.send(`{"command":"count","id":1}{"command":"remove"` + id + `}`)
				replies := c.receiveAll(2)
				require.Equal(t, 1.0, replies[1.0].Arguments)
				delete(replies, 1.0)
				for _, r := range replies {
					require.Equal(t, 2.0, r.Arguments, "%v", r)
				}
				c.requireEOF()
				idle.requireEOF()
				l.requireOtherListenerServes()
			})
		}
	}
}

// Close does not drain: the conns of a closed listener are served.
func TestConnsOfAClosedListenerAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		l := d.secondListener()
		c := l.dial()
		synctest.Wait()
		require.NoError(t, l.Close())
		for i := range 3 {
			c.send(`{"command":"count","id":1}`)
			require.Equal(t, reply{ID: 1.0, Arguments: float64(i + 1)}, c.receive())
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, l.Drain(time.Hour), "and can be drained later")
		c.requireEOF()
	})
}

// The manager's drain ends the drain of a listener.
func TestShutdownEndsListenerDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		l := d.secondListener()
		c := l.dial()
		c.send(`{"command":"doze","arguments":{"seconds":5},"id":1}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 1, l.Drain(time.Hour))
		require.NoError(t, d.end())
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Zero(t, c.receive().Result)
		c.requireEOF()
	})
}
