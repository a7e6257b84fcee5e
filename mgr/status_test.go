package mgr_test

import (
	"context"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A statusTransport notes the frames and the status of each Send. Its conns have no fast path.
type statusTransport struct {
	*pipe.Transport
	mu    sync.Mutex
	sends []statusSend
}

type statusSend struct {
	status int
	frames int
}

func (t *statusTransport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.Transport.Listen(ctx)
	return &statusListener{l, t}, err
}

func (t *statusTransport) sent() []statusSend {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]statusSend(nil), t.sends...)
}

type statusListener struct {
	transport.Listener
	t *statusTransport
}

func (l *statusListener) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &statusConn{c, l.t}, nil
}

type statusConn struct {
	transport.Conn
	t *statusTransport
}

func (c *statusConn) Send(ctx context.Context, frames ...[]byte) error {
	if len(frames) > 0 {
		c.t.mu.Lock()
		c.t.sends = append(c.t.sends, statusSend{transport.Status(ctx), len(frames)})
		c.t.mu.Unlock()
	}
	return c.Conn.Send(ctx, frames...)
}

func TestRefusedReplyIsSentAloneWithItsStatus(t *testing.T) {
	tr := &statusTransport{Transport: pipe.New()}
	d := prepare(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
	_, err := d.Open(t.Context(), tr)
	require.NoError(t, err)
	end, err := tr.DialBytes(t.Context())
	require.NoError(t, err)
	c := newRawClient(t, end)
	// All requests arrive together, before the loop runs, so their replies wait together.
	c.send(`{"command":"forbidden","id":1}{"command":"greet","arguments":{"name":"a"},"id":2}{"command":"forbidden","id":3}` +
		`{"command":"forbidden","id":4}{"command":"greet","arguments":{"name":"b"},"id":5}{"command":"no-such","id":6}`)
	run(t, d)
	replies := c.receiveAll(6)
	for id, result := range map[float64]int{1: 403, 2: 0, 3: 403, 4: 403, 5: 0, 6: 2} {
		require.Equal(t, result, replies[id].Result)
	}
	var refused, others int
	for _, s := range tr.sent() {
		if s.status != 0 {
			require.Equal(t, statusSend{403, 1}, s)
			refused++
		} else {
			others += s.frames
		}
	}
	require.Equal(t, 3, refused)
	require.Equal(t, 3, others)
	c.close()
}

// The reply to a refused conn has a status, too.
func TestRefusedConnHasAStatus(t *testing.T) {
	tr := &statusTransport{Transport: pipe.New()}
	d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxConnsPerPeer: 1}}, newTestCommands().commands()...)
	_, err := d.Open(t.Context(), tr)
	require.NoError(t, err)
	first, err := tr.DialBytes(t.Context())
	require.NoError(t, err)
	one := newRawClient(t, first)
	one.send(`{"command":"park","id":2}{"command":"count","id":1}`) // an idle conn of the owner would be closed
	require.Equal(t, 0, one.receive().Result)
	second, err := tr.DialBytes(t.Context())
	require.NoError(t, err)
	two := newRawClient(t, second)
	require.Equal(t, 503, two.receive().Result)
	require.Contains(t, tr.sent(), statusSend{503, 1})
	one.close()
	two.close()
}
