package websocket

import (
	"context"
	"net"
	"sync"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A listener accepts the conns that a Handler has upgraded.
type listener struct {
	handler *Handler
	server  *httpauth.Server // nil: another server has the Handler
	ready   chan *conn       // has room for MaxConns
	memory  transport.Memory
	done    chan struct{}
	once    sync.Once
	err     error

	mu    sync.Mutex
	conns int // in the handshake, in ready, or accepted and not closed
}

func newListener(ctx context.Context, h *Handler) *listener {
	return &listener{handler: h, ready: make(chan *conn, h.t.maxConns()), memory: transport.MemoryOf(ctx), done: make(chan struct{})}
}

// acquire counts a conn. It returns false when there are MaxConns.
func (l *listener) acquire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == cap(l.ready) {
		return false
	}
	l.conns++
	return true
}

// release ends the count of a conn.
func (l *listener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
}

// deliver queues c for Accept. It does not block, because acquire has counted c.
func (l *listener) deliver(c *conn) {
	l.ready <- c
	select {
	case <-l.done: // Close may have called closeWaiting before
		l.closeWaiting()
	default:
	}
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := ctxio.Accept(ctx, l.done, l.ready, nil)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close implements transport.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.handler.listener.CompareAndSwap(l, nil)
		close(l.done)
		l.closeWaiting()
		if l.server != nil {
			l.err = l.server.Close()
		}
	})
	return l.err
}

// closeWaiting closes the conns that were not accepted.
func (l *listener) closeWaiting() {
	for {
		select {
		case c := <-l.ready:
			_ = c.CloseWithReason(notAccepted)
		default:
			return
		}
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr {
	if l.server == nil {
		return mounted(l.handler.t.path())
	}
	return l.server.Addr()
}

// mounted is the address of a Handler: its path.
type mounted string

func (mounted) Network() string  { return "ws" }
func (m mounted) String() string { return string(m) }
