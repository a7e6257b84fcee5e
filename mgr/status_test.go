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

// A statusTransport notes what its conns are given to send, and with which status. Its conns are not Hearers.
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
	place := &statusTransport{Transport: pipe.New()}
	d := prepare(t, &mgr.Options{Authorizer: captain{}}, newShip().commands()...)
	_, err := d.Open(t.Context(), place)
	require.NoError(t, err)
	end, err := place.DialBytes(t.Context())
	require.NoError(t, err)
	c := newTalker(t, end)
	// All arrive together, and before the loop runs, so that their replies wait together.
	c.say(`{"command":"scuttle","id":1}{"command":"greet","arguments":{"name":"a"},"id":2}{"command":"scuttle","id":3}` +
		`{"command":"scuttle","id":4}{"command":"greet","arguments":{"name":"b"},"id":5}{"command":"no-such","id":6}`)
	run(t, d)
	replies := c.hearAll(6)
	for id, result := range map[float64]int{1: 403, 2: 0, 3: 403, 4: 403, 5: 0, 6: 2} {
		require.Equal(t, result, replies[id].Result)
	}
	var refused, others int
	for _, s := range place.sent() {
		if s.status != 0 {
			require.Equal(t, statusSend{403, 1}, s)
			refused++
		} else {
			others += s.frames
		}
	}
	require.Equal(t, 3, refused)
	require.Equal(t, 3, others)
	c.leave()
}

// A conn that is refused as a whole is told so with the status, too.
func TestRefusedConnHasAStatus(t *testing.T) {
	place := &statusTransport{Transport: pipe.New()}
	d := start(t, &mgr.Options{Authorizer: captain{}, Limits: mgr.Limits{MaxConnsPerPeer: 1}}, newShip().commands()...)
	_, err := d.Open(t.Context(), place)
	require.NoError(t, err)
	first, err := place.DialBytes(t.Context())
	require.NoError(t, err)
	one := newTalker(t, first)
	one.say(`{"command":"park","id":2}{"command":"count","id":1}`) // an idle conn of the owner would give way
	require.Equal(t, 0, one.hear().Result)
	second, err := place.DialBytes(t.Context())
	require.NoError(t, err)
	two := newTalker(t, second)
	require.Equal(t, 503, two.hear().Result)
	require.Contains(t, place.sent(), statusSend{503, 1})
	one.leave()
	two.leave()
}
