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

// A command that closes its own listener is answered, and so are the other requests on its conn, which stays open.
func TestCommandMayCloseItsOwnListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := pipe.New()
		var l *mgr.Listener
		shut := func(context.Context, mgr.None) (string, error) { return "closed", l.Close() }
		d := start(t, nil, append(newTestCommands().commands(), mgr.Func("shut", "", mgr.Admin, shut), mgr.Async("shut-beside", "", mgr.Admin, shut))...)
		for _, command := range []string{"shut", "shut-beside"} {
			var err error
			l, err = d.Open(t.Context(), tr)
			require.NoError(t, err)
			end, err := tr.DialBytes(t.Context())
			require.NoError(t, err)
			c := newRawClient(t, end)
			c.send(`{"command":"` + command + `","id":1}{"command":"whoami","id":2}`)
			require.Equal(t, "closed", c.receiveAll(2)[1.0].Arguments)
			_, err = tr.DialBytes(t.Context())
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			c.send(`{"command":"whoami","id":3}`)
			require.Zero(t, c.receive().Result)
			c.close()
			require.NoError(t, l.Close())
		}
		require.Zero(t, d.call(`{"command":"count"}`).Result, "the other socket")
	})
}

// Run with an ended context opens nothing and returns.
func TestRunWithEndedContextOpensNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := mgr.New(nil)
	require.ErrorIs(t, m.Run(ctx, pipe.New()), context.Canceled)
	require.Zero(t, m.Count())
	require.NoError(t, mgr.New(nil).Run(ctx))
}

// Listeners are opened and closed while clients call and the daemon ends. The race detector checks it.
func TestListenersOpenAndCloseWhileClientsCall(t *testing.T) {
	for range 20 {
		d := start(t, nil)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					tr := pipe.New()
					l, err := d.Open(context.Background(), tr)
					if err != nil {
						return
					}
					conn, err := tr.DialBytes(context.Background())
					if err == nil {
						_, _ = conn.Write([]byte(`{"command":"whoami"}`))
						_ = l.Close()
						_, _ = conn.Read(make([]byte, 1))
						_ = conn.Close()
					}
					_ = l.Close()
				}
			})
		}
		for range 10 {
			require.Zero(t, d.call(`{"command":"whoami"}`).Result)
		}
		require.NoError(t, d.end())
		all.Wait()
	}
}

// After an error Accept is called again, with growing pauses. A listener in such a pause can be closed at once.
func TestAcceptContinuesAfterError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		failing := &failingListener{tr: pipe.New(), failures: 3}
		l, err := d.Open(t.Context(), failing)
		require.NoError(t, err)
		end, err := failing.tr.DialBytes(t.Context())
		require.NoError(t, err)
		c := newRawClient(t, end)
		c.send(`{"command":"whoami"}`)
		began := time.Now()
		require.Zero(t, c.receive().Result)
		c.requireEOF()
		require.Equal(t, 35*time.Millisecond, time.Since(began), "5, 10 and 20 ms")
		failing.fail(1000)
		end, err = failing.tr.DialBytes(t.Context()) // the last conn that is accepted
		require.NoError(t, err)
		time.Sleep(10*time.Second + 1)
		began = time.Now()
		require.NoError(t, l.Close())
		require.Zero(t, time.Since(began))
		require.NoError(t, end.Close())
		require.Contains(t, d.log.String(), "too many open files")
	})
}

// A failingListener fails some times, like a process without free descriptors.
type failingListener struct {
	tr *pipe.Transport
	transport.Listener

	mu       sync.Mutex
	failures int
}

func (l *failingListener) Listen(ctx context.Context) (transport.Listener, error) {
	var err error
	l.Listener, err = l.tr.Listen(ctx)
	return l, err
}

func (l *failingListener) fail(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = n
}

func (l *failingListener) Accept(ctx context.Context) (transport.Conn, error) {
	l.mu.Lock()
	failing := l.failures > 0
	l.failures--
	l.mu.Unlock()
	if failing {
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept(ctx)
}
