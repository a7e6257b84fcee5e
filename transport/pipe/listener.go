package pipe

import (
	"context"
	"net"
	"sync"
	"syscall"

	"github.com/rudderpost/rudderpost/transport"
)

// backlog is how many conns wait for Accept before Dial blocks.
const backlog = 128

type listener struct {
	owner  *Transport
	memory transport.Memory
	queue  chan *Conn
	done   chan struct{} // closed by Close
	once   sync.Once
}

func newListener(ctx context.Context, owner *Transport) *listener {
	return &listener{
		owner:  owner,
		memory: transport.MemoryOf(ctx),
		queue:  make(chan *Conn, backlog),
		done:   make(chan struct{}),
	}
}

// offer queues c for Accept.
func (l *listener) offer(ctx context.Context, c *Conn) error {
	select {
	case l.queue <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.done:
		return syscall.ECONNREFUSED
	}
	select {
	case <-l.done: // Close may have emptied the queue before
		l.closeQueued()
		return syscall.ECONNREFUSED
	default:
		return nil
	}
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case <-l.done:
		return nil, failed("accept", net.ErrClosed)
	default:
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.done:
		return nil, failed("accept", net.ErrClosed)
	}
}

// Close implements transport.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.owner.removeListener(l)
		close(l.done)
		l.closeQueued()
	})
	return nil
}

// closeQueued closes the conns that were not accepted.
func (l *listener) closeQueued() {
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
		default:
			return
		}
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return addr{} }
