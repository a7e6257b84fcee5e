package websocket

import (
	"context"
	"net"
	"sync"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A listener hands out the conns that a Handler has upgraded.
type listener struct {
	handler *Handler
	server  *httpauth.Server // nil: somebody else's
	ready   chan *conn       // has room for all
	memory  transport.Memory
	done    chan struct{}
	once    sync.Once
	err     error

	mu    sync.Mutex
	conns int // being upgraded, waiting, or handed out and open
}

func newListener(ctx context.Context, h *Handler) *listener {
	return &listener{handler: h, ready: make(chan *conn, h.t.maxConns()), memory: transport.MemoryOf(ctx), done: make(chan struct{})}
}

// enter makes room for a conn, if there is any.
func (l *listener) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == cap(l.ready) {
		return false
	}
	l.conns++
	return true
}

// leave gives the room of a conn back.
func (l *listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns--
}

// offer queues c for Accept.
func (l *listener) offer(c *conn) {
	l.ready <- c
	select {
	case <-l.done: // perhaps after Close has emptied the queue
		l.empty()
	default:
	}
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case c := <-l.ready:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements transport.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.handler.listener.CompareAndSwap(l, nil)
		close(l.done)
		l.empty()
		if l.server != nil {
			l.err = l.server.Close()
		}
	})
	return l.err
}

// empty closes the conns that nobody accepted.
func (l *listener) empty() {
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

// mounted is the address of a Handler, which knows no more than its path.
type mounted string

func (mounted) Network() string  { return "ws" }
func (m mounted) String() string { return string(m) }
