package mgr_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A second listener of a daemon, which tests drain.
type drainable struct {
	*mgr.Listener
	d     *daemon
	place *pipe.Transport
}

func (d *daemon) secondListener() drainable {
	d.t.Helper()
	place := pipe.New()
	socket, err := d.Open(d.t.Context(), place)
	require.NoError(d.t, err)
	return drainable{socket, d, place}
}

func (l drainable) dial() *talker {
	l.d.t.Helper()
	end, err := l.place.DialBytes(l.d.t.Context())
	require.NoError(l.d.t, err)
	return newTalker(l.d.t, end)
}

// requireOtherListenerServes checks that a drain has not touched the daemon's first listener.
func (l drainable) requireOtherListenerServes() {
	l.d.t.Helper()
	require.Zero(l.d.t, l.d.ask(`{"command":"whoami"}`).Result)
}

func removed(id any) reply {
	return reply{ID: id, Result: 503, Text: "this listener was removed and takes no more commands; connect to another one", Error: details("shutting-down")}
}

func TestListenerDrainClosesIdleConnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		l := d.secondListener()
		fresh, used, partial := l.dial(), l.dial(), l.dial()
		other := d.dial()
		used.say(`{"command":"count","id":1}`)
		require.Zero(t, used.hear().Result)
		partial.say(`{"command":"cou`)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 3, l.Drain(time.Hour))
		fresh.eof()
		used.eof()
		partial.eof()
		require.Zero(t, time.Since(began))
		_, err := l.place.DialBytes(t.Context())
		require.Error(t, err)
		other.say(`{"command":"count","id":2}`)
		require.Equal(t, reply{ID: 2.0, Arguments: 2.0}, other.hear())
		l.requireOtherListenerServes()
		synctest.Wait()
		require.Zero(t, l.Drain(time.Hour), "the second time")
	})
}

func TestListenerDrainAnswersWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newShip().commands(), mgr.Async("nap", "", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			time.Sleep(2 * time.Second)
			return mgr.None{}, mgr.OnLoop(ctx, func() error { return nil })
		}))...)
		l := d.secondListener()
		busy, last := l.dial(), l.dial()
		busy.say(`{"command":"doze","arguments":{"seconds":1},"id":1}{"command":"count","id":2}{"command":"nap","id":3}`)
		synctest.Wait()
		last.say(`{"command":"count"}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 2, l.Drain(3*time.Second))
		require.Equal(t, 1.0, busy.hear().ID)
		require.Equal(t, reply{ID: 2.0, Arguments: 1.0}, busy.hear())
		require.Equal(t, 2.0, last.hear().Arguments)
		last.eof()
		require.Equal(t, 3.0, busy.hear().ID)
		busy.eof()
		require.Equal(t, 2*time.Second, time.Since(began))
		l.requireOtherListenerServes()
		time.Sleep(time.Minute)
		require.NotContains(t, d.log.String(), "removed listener", "no conn was left after the timeout")
	})
}

// A request that had arrived when the drain began, and was not accepted, is refused.
func TestListenerDrainRefusesWhatWasNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShip()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, s.commands()...)
		l := d.secondListener()
		c := l.dial()
		c.say(`{"command":"hold","id":1}{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		l.Drain(time.Hour)
		synctest.Wait()
		s.release <- struct{}{}
		replies := c.hearAll(4)
		require.Equal(t, 1.0, replies[2.0].Arguments)
		require.Equal(t, removed(3.0), replies[3.0])
		require.Equal(t, removed(4.0), replies[4.0])
		c.eof()
		l.requireOtherListenerServes()
	})
}

func TestListenerDrainClosesWhatIsLeftAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShip()
		d := start(t, nil, s.commands()...)
		l := d.secondListener()
		onLoop, queued, async := l.dial(), l.dial(), l.dial()
		other := d.dial()
		onLoop.say(`{"command":"hold","id":1}`)
		synctest.Wait()
		queued.say(`{"command":"count"}`)
		async.say(`{"command":"park","id":1}`)
		other.say(`{"command":"count","id":1}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 3, l.Drain(3*time.Second))
		onLoop.eof()
		async.eof()
		require.NoError(t, queued.conn.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, queued.in) // the conn may be closed before the refusal of the command is written
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
		synctest.Wait()
		require.Contains(t, d.log.String(), `"msg":"conns of a removed listener are closed before their commands are answered"`)
		require.Contains(t, d.log.String(), `"conns":3`)
		s.release <- struct{}{}
		require.Equal(t, reply{ID: 1.0, Arguments: 1.0}, other.hear(), "the queued command of the closed conn did not run")
		l.requireOtherListenerServes()
	})
}

func TestListenerDrainAnswersTheCommandThatDrains(t *testing.T) {
	for _, how := range []func(name, summary string, level mgr.Level, h func(context.Context, mgr.None) (int, error), opts ...mgr.Option) mgr.Command{
		mgr.Func[mgr.None, int], mgr.Async[mgr.None, int],
	} {
		for _, id := range []string{``, `,"id":2`} {
			synctest.Test(t, func(t *testing.T) {
				var l drainable
				d := start(t, nil, append(newShip().commands(), how("remove", "", mgr.Admin, func(context.Context, mgr.None) (int, error) {
					return l.Drain(time.Hour), nil
				}))...)
				l = d.secondListener()
				c, idle := l.dial(), l.dial()
				synctest.Wait()
				c.say(`{"command":"count","id":1}{"command":"remove"` + id + `}`)
				replies := c.hearAll(2)
				require.Equal(t, 1.0, replies[1.0].Arguments)
				delete(replies, 1.0)
				for _, r := range replies {
					require.Equal(t, 2.0, r.Arguments, "%v", r)
				}
				c.eof()
				idle.eof()
				l.requireOtherListenerServes()
			})
		}
	}
}

// Close does not drain: conns of a listener that was closed are served.
func TestConnsOfAClosedListenerAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		l := d.secondListener()
		c := l.dial()
		synctest.Wait()
		require.NoError(t, l.Close())
		for i := range 3 {
			c.say(`{"command":"count","id":1}`)
			require.Equal(t, reply{ID: 1.0, Arguments: float64(i + 1)}, c.hear())
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, l.Drain(time.Hour), "and can be drained later")
		c.eof()
	})
}

// The drain of the manager ends a drain of a listener.
func TestShutdownDuringAListenerDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		l := d.secondListener()
		c := l.dial()
		c.say(`{"command":"doze","arguments":{"seconds":5},"id":1}`)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, 1, l.Drain(time.Hour))
		require.NoError(t, d.end())
		require.Equal(t, 5*time.Second, time.Since(began))
		require.Zero(t, c.hear().Result)
		c.eof()
	})
}
