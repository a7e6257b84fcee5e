package pipe

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Transport is an address in memory. The zero value is ready. It must not be copied after its first use. Its methods may be
// called from any goroutine.
type Transport struct {
	// MaxFrame is the length of the longest frame that is received, in bytes. 0: transport.DefaultMaxFrame for accepted
	// conns, and transport.ClientMaxFrame for dialed ones.
	MaxFrame int

	// Idle and FrameTimeout are the time limits of accepted conns, as in transport.StreamConfig: 0 is 10 s and 5 min, and
	// a negative value no limit. Dialed conns have none.
	Idle         time.Duration
	FrameTimeout time.Duration

	mu       sync.Mutex
	listener *listener // the open one; nil: none
}

// New returns an address without a listener.
func New() *Transport { return new(Transport) }

// Self is the credential of both ends: the peer is this process.
type Self struct{}

// Subject implements transport.Credential.
func (Self) Subject() string { return "self" }

// Listen implements transport.Transport. The error is EADDRINUSE while another listener is open.
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

// Dial implements transport.Dialer. The conn is a *Conn. It blocks while 128 conns wait for Accept. The error is
// ECONNREFUSED without a listener.
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
			PeerClosed:   end.PeerClosed,
		}),
		end: end,
	}, nil
}

// DialBytes is Dial for a test that writes and reads bytes itself. The caller must close the End.
func (t *Transport) DialBytes(ctx context.Context) (*End, error) {
	end, _, err := t.dial(ctx)
	return end, err
}

// dial makes two ends, queues one for Accept, and returns the other.
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
			PeerClosed:   there.PeerClosed,
		}),
		end: there,
	})
	if err != nil {
		_ = here.Close() // the other end may have been accepted all the same
		return nil, "", failed("dial", err)
	}
	return here, session, nil
}

// removeListener removes a listener that was closed.
func (t *Transport) removeListener(l *listener) {
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

// addr is the address of every pipe.
type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }

func failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "pipe", Err: err}
}
