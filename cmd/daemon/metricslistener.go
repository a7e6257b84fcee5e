package main

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/httphead"
)

// A boundedListener has at most maxConns open connections, so that no program on this machine can use up the daemon's
// descriptors. If one more connects, the connection that has waited longest for a request is closed. If all of them
// serve a request, Accept waits until one ends.
//
//	state     | when                                          | next
//	waiting   | after Accept, and after each response         | busy: a request arrives (serve);
//	          |                                               | closed: Accept needs its place
//	busy      | while a request is served                     | waiting (http.StateIdle); closed
//	closed    | its place is free                             |
type boundedListener struct {
	net.Listener
	maxConns  int
	keepAlive func() time.Duration // the idle timeout of a connection

	mu      sync.Mutex
	freed   sync.Cond
	open    int
	waiting list.List // of *boundedConn, the longest wait first
	closed  bool
}

func newBoundedListener(l net.Listener, maxConns int, keepAlive func() time.Duration) *boundedListener {
	b := &boundedListener{Listener: l, maxConns: maxConns, keepAlive: keepAlive}
	b.freed.L = &b.mu
	return b
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open >= l.maxConns && !l.closed {
		if oldest := l.waiting.Front(); oldest != nil {
			c := oldest.Value.(*boundedConn)
			_ = c.Conn.Close()
			l.releaseLocked(c)
			continue
		}
		l.freed.Wait()
	}
	if l.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c := &boundedConn{Conn: conn, listener: l}
	l.open++
	c.waiting = l.waiting.PushBack(c)
	return c, nil
}

// Close implements net.Listener. It unblocks Accept.
func (l *boundedListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.freed.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// releaseLocked frees the place of a closed connection. It may be called more than once. l.mu is held.
func (l *boundedListener) releaseLocked(c *boundedConn) {
	c.setWaitingLocked(false)
	if !c.released {
		c.released = true
		l.open--
		l.freed.Signal()
	}
}

// state implements the ConnState hook of http.Server.
func (l *boundedListener) state(conn net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	c := conn.(*boundedConn)
	c.framing.Idle()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.released {
		c.setWaitingLocked(true)
	}
}

// serve returns a handler that marks the connection busy while h serves its request.
func (l *boundedListener) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(boundedConnKey{}).(*boundedConn)
		l.mu.Lock()
		c.setWaitingLocked(false)
		l.mu.Unlock()
		if c.framing.CloseAfter(r) {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// A boundedConn is a connection of a boundedListener.
type boundedConn struct {
	net.Conn
	listener *boundedListener
	waiting  *list.Element // nil: busy or closed; guarded by listener.mu
	released bool          // its place is free; guarded by listener.mu
	framing  httphead.Framing
}

type boundedConnKey struct{}

func withBoundedConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, boundedConnKey{}, c)
}

func (c *boundedConn) setWaitingLocked(waits bool) {
	switch {
	case waits && c.waiting == nil:
		c.waiting = c.listener.waiting.PushBack(c)
	case !waits && c.waiting != nil:
		c.listener.waiting.Remove(c.waiting)
		c.waiting = nil
	}
}

// Read implements net.Conn.
func (c *boundedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.framing.Scan(p[:n])
	return n, err
}

// SetReadDeadline implements net.Conn. net/http sets its fixed IdleTimeout right after http.StateIdle.
func (c *boundedConn) SetReadDeadline(t time.Time) error {
	if c.framing.ReadDeadline() {
		t = time.Now().Add(c.listener.keepAlive())
	}
	return c.Conn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.listener.releaseLocked(c)
	return err
}
