package mgr_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// TestCommandClosesItsOwnSocket, and is answered; so is everything else on the conn, which lives on.
func TestCommandClosesItsOwnSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := pipe.New()
		var socket *mgr.Listener
		shut := func(context.Context, mgr.None) (string, error) { return "closed", socket.Close() }
		d := start(t, nil, append(newShip().commands(), mgr.Func("shut", "", mgr.Admin, shut), mgr.Async("shut-beside", "", mgr.Admin, shut))...)
		for _, command := range []string{"shut", "shut-beside"} {
			var err error
			socket, err = d.Open(t.Context(), place)
			require.NoError(t, err)
			end, err := place.DialBytes(t.Context())
			require.NoError(t, err)
			c := newTalker(t, end)
			c.say(`{"command":"` + command + `","id":1}{"command":"whoami","id":2}`)
			require.Equal(t, "closed", c.hearAll(2)[1.0].Arguments)
			_, err = place.DialBytes(t.Context())
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			c.say(`{"command":"whoami","id":3}`)
			require.Zero(t, c.hear().Result)
			c.leave()
			require.NoError(t, socket.Close())
		}
		require.Zero(t, d.ask(`{"command":"count"}`).Result, "the other socket")
	})
}

// TestRunWithAnEndedContext opens nothing and returns.
func TestRunWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := mgr.New(nil)
	require.ErrorIs(t, m.Run(ctx, pipe.New()), context.Canceled)
	require.Zero(t, m.Count())
	require.NoError(t, mgr.New(nil).Run(ctx))
}

// TestOpenAndCloseAtAnyTime is for the race detector: sockets come and go while clients call and the
// daemon ends.
func TestOpenAndCloseAtAnyTime(t *testing.T) {
	for range 20 {
		d := start(t, nil)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					place := pipe.New()
					socket, err := d.Open(context.Background(), place)
					if err != nil {
						return
					}
					conn, err := place.DialBytes(context.Background())
					if err == nil {
						_, _ = conn.Write([]byte(`{"command":"whoami"}`))
						_ = socket.Close()
						_, _ = conn.Read(make([]byte, 1))
						_ = conn.Close()
					}
					_ = socket.Close()
				}
			})
		}
		for range 10 {
			require.Zero(t, d.ask(`{"command":"whoami"}`).Result)
		}
		require.NoError(t, d.end())
		all.Wait()
	}
}

// TestAcceptGoesOnAfterAnError, and a socket that pauses can be closed at once.
func TestAcceptGoesOnAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		l := &exhausted{place: pipe.New(), failures: 3}
		socket, err := d.Open(t.Context(), l)
		require.NoError(t, err)
		end, err := l.place.DialBytes(t.Context())
		require.NoError(t, err)
		c := newTalker(t, end)
		c.say(`{"command":"whoami"}`)
		began := time.Now()
		require.Zero(t, c.hear().Result)
		c.eof()
		require.Equal(t, 35*time.Millisecond, time.Since(began), "5, 10 and 20 ms")
		l.fail(1000)
		end, err = l.place.DialBytes(t.Context()) // the last one that is accepted
		require.NoError(t, err)
		time.Sleep(10*time.Second + 1)
		began = time.Now()
		require.NoError(t, socket.Close())
		require.Zero(t, time.Since(began))
		require.NoError(t, end.Close())
		require.Contains(t, d.log.String(), "too many open files")
	})
}

// An exhausted listener fails for a while, as one without descriptors does.
type exhausted struct {
	place *pipe.Transport
	transport.Listener

	mu       sync.Mutex
	failures int
}

func (l *exhausted) Listen(ctx context.Context) (transport.Listener, error) {
	var err error
	l.Listener, err = l.place.Listen(ctx)
	return l, err
}

func (l *exhausted) fail(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = n
}

func (l *exhausted) Accept(ctx context.Context) (transport.Conn, error) {
	l.mu.Lock()
	failing := l.failures > 0
	l.failures--
	l.mu.Unlock()
	if failing {
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept(ctx)
}
