package http

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A conn is one request whose body is here and whose response is not finished.
//
// The goroutine that net/http gave the request waits for done. Whoever sends and closes works on the
// response meanwhile, one at a time: a Close that finds a Send under way cuts it off and leaves the
// rest to it.
type conn struct {
	peer   transport.Peer
	target transport.Target // peer.Target points here
	ctx    context.Context
	gone   context.CancelCauseFunc

	mu      sync.Mutex
	frame   []byte                 // the body; nil: it was received
	rest    *longBody              // the body, where it has not been read; nil: it has
	taken   bool                   // it was received
	refusal *httpauth.RefusedError // why it is no frame; nil: it is one, or is not known to be none
	hearing bool                   // a Receive reads it
	busy    bool                   // a Send is under way
	closed  bool

	replies
	broken bool          // the response is not whole and never will be
	done   chan struct{} // closed when the response is nobody's any more
}

func newConn(out *response, frame []byte, rest *longBody, peer transport.Peer) *conn {
	c := &conn{peer: peer, frame: frame, rest: rest, done: make(chan struct{})}
	if rest != nil {
		rest.begin(peer)
	}
	c.ctx, c.gone = context.WithCancelCause(context.Background())
	c.init(out)
	return c
}

// Context implements transport.Conn. net/http's own context of the request is not asked: it ends
// when the client closes its half of the connection, too.
func (c *conn) Context() context.Context { return c.ctx }

// Peer implements transport.Conn.
func (c *conn) Peer() transport.Peer { return c.peer }

// Receive implements transport.Conn. It waits only for a body that is not short. One that is no frame is an io.EOF,
// and Close answers it with the status that HTTP has for that.
func (c *conn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return dst, net.ErrClosed
	case c.taken, c.refusal != nil:
		return dst, io.EOF
	case c.rest == nil:
		c.taken = true
		return append(dst, c.frame...), nil
	}
	c.hearing = true
	c.mu.Unlock()
	frame, err := c.rest.receive(ctx)
	c.mu.Lock()
	c.hearing = false
	bad, _ := errors.AsType[*transport.FrameError](err)
	switch {
	case c.closed: // meanwhile, and the end was left to us, unless a Send has it
		if !c.busy {
			c.mu.Unlock()
			c.finish()
			c.mu.Lock()
		}
		return dst, net.ErrClosed
	case err == nil:
		c.taken = true
		return frame, nil
	case ctx.Err() != nil:
		return dst, context.Cause(ctx)
	case bad != nil && bad.Reason == transport.OverBudget: // which the manager answers
		return dst, bad
	}
	c.refusal = c.rest.l.unreadable(c.out.r, err)
	return dst, io.EOF
}

// unread reports whether the client may still send its body. A response that goes out meanwhile is the last one of its
// connection, or net/http would read the body first.
func (c *conn) unread() bool { return c.rest != nil && !c.taken }

// Send implements transport.Conn.
func (c *conn) Send(ctx context.Context, frames ...[]byte) error {
	c.mu.Lock()
	err := c.mayNot(ctx)
	c.busy = err == nil
	if c.busy && c.unread() {
		c.out.w.Header()["Connection"] = []string{"close"}
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}

	release := c.until(ctx)
	err = c.send(transport.Status(ctx), frames)
	release()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if err != nil {
		c.broken = true
		c.gone(err)
	}
	if c.closed { // meanwhile, and the end was left to us, unless a Receive has it
		if !c.hearing {
			c.finish()
		}
		return net.ErrClosed
	}
	return err
}

func (c *conn) mayNot(ctx context.Context) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// past is any time that is over.
var past = time.Unix(1, 0)

// until makes a write end when ctx does, by way of a deadline in the past. That is gone when the
// function has run which it returns.
func (c *conn) until(ctx context.Context) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(set)
		_ = c.out.SetWriteDeadline(past)
	})
	return func() {
		if !stop() {
			<-set
			_ = c.out.SetWriteDeadline(time.Time{})
		}
	}
}

// Close implements transport.Conn. It sends what Send has taken, and returns when the kernel has it,
// or a client does not take it for 10 s.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	busy, hearing := c.busy, c.hearing
	if busy {
		c.broken = true
		_ = c.out.SetWriteDeadline(past)
	}
	c.mu.Unlock()
	c.gone(net.ErrClosed)
	if hearing {
		c.rest.body.interrupt()
	}
	if !busy && !hearing {
		c.finish()
	}
	return nil
}

// finish ends the response. Nobody else works on it. The last bytes of one whose length was not known
// are net/http's to send, after its handler has returned; a daemon that ends now must wait for them.
func (c *conn) finish() {
	if c.rest != nil {
		defer c.rest.close()
	}
	switch {
	case c.broken:
	case c.refusal != nil && c.count == 0:
		c.out.refuse(c.refusal)
	case c.end(c.taken) != nil:
		c.broken = true
	}
	if c.broken || !c.chunked() {
		close(c.done)
		return
	}
	finished := httpauth.ResponseDone(c.out.r)
	close(c.done)
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-finished:
	case <-patience.C:
	}
}
