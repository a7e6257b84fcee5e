package pipe

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Transport is a place in memory. The zero value is ready; it must not be copied once used.
type Transport struct {
	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame on the
	// listener's side, transport.ClientMaxFrame on the dialer's.
	MaxFrame int

	// Idle and FrameTimeout bound how long a peer of the listener may take; see
	// transport.StreamConfig. A dialer waits as long as its contexts allow.
	Idle         time.Duration
	FrameTimeout time.Duration

	mu       sync.Mutex
	listener *listener // the live one
}

// New returns a place that nobody listens on yet.
func New() *Transport { return new(Transport) }

// Self is the credential of both ends: the peer is this process.
type Self struct{}

// Subject implements transport.Credential.
func (Self) Subject() string { return "self" }

// Listen implements transport.Transport. A place has one live listener at a time.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	if ctx.Err() != nil {
		return nil, failed("listen", context.Cause(ctx))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener != nil {
		return nil, failed("listen", syscall.EADDRINUSE)
	}
	t.listener = newListener(ctx, t)
	return t.listener, nil
}

// Dial implements transport.Dialer. The conn is a *Conn. It waits while 128 others wait to be
// accepted.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	end, session, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	limit := t.MaxFrame
	if limit == 0 {
		limit = transport.ClientMaxFrame
	}
	return &Conn{
		Stream: transport.NewStream(end, transport.StreamConfig{
			Peer:         peer(session),
			MaxFrame:     limit,
			Idle:         -1,
			FrameTimeout: -1,
			Gone:         end.Gone,
		}),
		end: end,
	}, nil
}

// DialBytes is Dial for a test that wants to write and read the bytes itself.
func (t *Transport) DialBytes(ctx context.Context) (*End, error) {
	end, _, err := t.dial(ctx)
	return end, err
}

// dial makes two ends, hands one to the listener, and returns the other.
func (t *Transport) dial(ctx context.Context) (*End, string, error) {
	if ctx.Err() != nil {
		return nil, "", failed("dial", context.Cause(ctx))
	}
	t.mu.Lock()
	l := t.listener
	t.mu.Unlock()
	if l == nil {
		return nil, "", failed("dial", syscall.ECONNREFUSED)
	}
	here, there := newPair()
	session := transport.NewSession("pipe")
	err := l.offer(ctx, &Conn{
		Stream: transport.NewStream(there, transport.StreamConfig{
			Peer:         peer(session),
			MaxFrame:     t.MaxFrame,
			Idle:         t.Idle,
			FrameTimeout: t.FrameTimeout,
			Memory:       l.memory,
			Gone:         there.Gone,
		}),
		end: there,
	})
	if err != nil {
		_ = here.Close() // the other end may have been accepted all the same
		return nil, "", failed("dial", err)
	}
	return here, session, nil
}

// left forgets a listener that was closed.
func (t *Transport) left(l *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener == l {
		t.listener = nil
	}
}

func peer(session string) transport.Peer {
	return transport.Peer{
		Transport: "pipe",
		Session:   session,
		Creds:     []transport.Credential{Self{}},
	}
}

// addr is the address of every pipe: there is nothing to say about it.
type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }

func failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Err: err}
}
