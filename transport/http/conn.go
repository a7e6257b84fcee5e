package http

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A conn is one request as the manager sees it: it receives the body and sends the response.
//
// The goroutine of the request, which net/http has started, waits for done. Send and Close work on the response, one
// at a time. Its states, besides closed:
//
//	sending and receiving  when Close is called
//	neither                Close finishes the response
//	sending                Close interrupts Send, and Send finishes the response, which is broken
//	receiving              Close interrupts Receive, and Receive finishes the response
//	both                   Close interrupts both, and the last one finishes the response
type conn struct {
	peer   transport.Peer
	target transport.Target // peer.Target points here
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu        sync.Mutex
	frame     []byte                 // a small body
	body      *longBody              // any other body, which Receive reads; nil: the body is small
	received  bool                   // Receive has returned the frame
	refusal   *httpauth.RefusedError // why the body is no frame; nil: it is a frame, or was not read
	receiving bool                   // Receive reads the body
	sending   bool                   // Send writes
	closed    bool

	replies
	broken bool          // the response is incomplete
	done   chan struct{} // closed when no method uses the response any more
}

func newConn(out *response, frame []byte, body *longBody, peer transport.Peer) *conn {
	c := &conn{peer: peer, frame: frame, body: body, done: make(chan struct{})}
	if body != nil {
		body.setPeer(peer)
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.init(out)
	return c
}

// Context implements transport.Conn. It is not net/http's context of the request: that one also ends when the client
// closes the writing half of its connection.
func (c *conn) Context() context.Context { return c.ctx }

// Peer implements transport.Conn.
func (c *conn) Peer() transport.Peer { return c.peer }

// Receive implements transport.Conn. It blocks only for a body that is not small. For a body that is no frame it
// returns io.EOF, and Close answers with the status for that.
func (c *conn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return dst, net.ErrClosed
	case c.received, c.refusal != nil:
		return dst, io.EOF
	case c.body == nil:
		c.received = true
		return append(dst, c.frame...), nil
	}
	c.receiving = true
	c.mu.Unlock()
	frame, err := c.body.receive(ctx)
	c.mu.Lock()
	c.receiving = false
	bad, _ := errors.AsType[*transport.FrameError](err)
	switch {
	case c.closed: // meanwhile, and the end was left to us, unless a Send has it
		if !c.sending {
			c.mu.Unlock()
			c.finish()
			c.mu.Lock()
		}
		return dst, net.ErrClosed
	case err == nil:
		c.received = true
		return frame, nil
	case ctx.Err() != nil:
		return dst, context.Cause(ctx)
	case bad != nil && bad.Reason == transport.OverBudget: // which the manager answers
		return dst, bad
	}
	c.refusal = c.body.l.bodyRefusal(c.out.r, err)
	return dst, io.EOF
}

// unread reports whether the client may still send its body. A response that is sent before must be the last one of
// its connection; otherwise net/http would read the body first.
func (c *conn) unread() bool { return c.body != nil && !c.received }

// Send implements transport.Conn.
func (c *conn) Send(ctx context.Context, frames ...[]byte) error {
	c.mu.Lock()
	err := c.sendError(ctx)
	c.sending = err == nil
	if c.sending && c.unread() {
		c.out.w.Header()["Connection"] = []string{"close"}
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}

	stop := ctxio.SetWriteDeadlineOnDone(ctx, c.out)
	err = c.send(transport.Status(ctx), frames)
	stop()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = false
	if err != nil {
		c.broken = true
		c.cancel(err)
	}
	if c.closed { // meanwhile, and the end was left to us, unless a Receive has it
		if !c.receiving {
			c.finish()
		}
		return net.ErrClosed
	}
	return err
}

func (c *conn) sendError(ctx context.Context) error {
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

// Close implements transport.Conn. It sends the replies that are not sent yet. It blocks until the kernel has them,
// or for at most 10 s if the client does not read.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	sending, receiving := c.sending, c.receiving
	if sending {
		c.broken = true
		_ = c.out.SetWriteDeadline(ctxio.LongAgo)
	}
	c.mu.Unlock()
	c.cancel(net.ErrClosed)
	if receiving {
		c.body.source.interrupt()
	}
	if !sending && !receiving {
		c.finish()
	}
	return nil
}

// finish ends the response. No other goroutine uses it. net/http sends the last bytes of a response without
// Content-Length after its handler has returned; a daemon that exits must wait for them.
func (c *conn) finish() {
	if c.body != nil {
		defer c.body.close()
	}
	switch {
	case c.broken:
	case c.refusal != nil && c.count == 0:
		c.out.refuse(c.refusal)
	case c.end(c.received) != nil:
		c.broken = true
	}
	if c.broken || !c.chunked() {
		close(c.done)
		return
	}
	finished := httpauth.ResponseDone(c.out.r)
	close(c.done)
	bodyTimeout := time.NewTimer(time.Second)
	defer bodyTimeout.Stop()
	select {
	case <-finished:
	case <-bodyTimeout.C:
	}
}

// A replies is the body of a 200: an array or lines. A single reply with a status (transport.WithStatus) is the body
// of a response with that status, without an array.
//
// The first reply of an array is kept until the second one or the end. So a single reply, as nearly all are, has a
// Content-Length and is written together with its head. A long reply is not kept, because its sender counts its bytes
// until they were written.
type replies struct {
	out      *response
	lines    bool
	held     *[]byte // the first reply, between opening and closing; nil: none is kept
	count    int     // replies that were sent or are kept
	headSent bool    // the head is out, without a length

	status int // of the reply that is held, if that is a refusal; 0: none
}

// Kea's spacing.
const (
	opening   = "[ "
	separator = ", "
	closing   = " ]"
)

func (s *replies) init(out *response) {
	s.out = out
	for _, accepted := range out.r.Header["Accept"] {
		s.lines = s.lines || strings.Contains(strings.ToLower(accepted), typeLines[0])
	}
}

// send takes replies, in order. status is the status of a refusal, which must be the only reply; 0: none.
func (s *replies) send(status int, frames [][]byte) error {
	if len(frames) == 0 {
		return nil
	}
	if status != 0 && s.count == 0 && len(frames) == 1 {
		s.holdFirst(frames[0])
		s.count, s.status = 1, status
		return nil
	}
	s.status = 0
	if !s.lines && s.count == 0 && len(frames) == 1 && (len(frames[0]) <= maxFirstReply || isList(frames[0])) {
		s.holdFirst(frames[0])
		s.count = 1
		return nil
	}
	if err := s.writeFirst(); err != nil {
		return err
	}
	for _, frame := range frames {
		if err := s.write(frame); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

func (s *replies) holdFirst(frame []byte) {
	s.held = bodies.Get().(*[]byte)
	text := (*s.held)[:0]
	text = append(text, opening...)
	text = append(text, frame...)
	text = append(text, closing...)
	*s.held = text
}

// chunked reports whether the response was begun without a Content-Length.
func (s *replies) chunked() bool { return s.headSent }

// release frees the buffer of the first reply.
func (s *replies) release() {
	if s.held != nil && cap(*s.held) <= maxFirstReply {
		bodies.Put(s.held)
	}
	s.held = nil
}

// writeFirst begins a response without Content-Length, with the reply that was kept.
func (s *replies) writeFirst() error {
	if s.count > 0 && s.held == nil {
		return nil
	}
	h := s.out.w.Header()
	h["Content-Type"] = typeJSON
	if s.lines {
		h["Content-Type"] = typeLines
	}
	s.out.writeHead(http.StatusOK)
	s.headSent = true
	if s.held == nil {
		return nil
	}
	defer s.release()
	text := *s.held
	_, err := s.out.w.Write(text[:len(text)-len(closing)])
	return err
}

// write writes one of several replies, or a long one.
func (s *replies) write(frame []byte) error {
	before, behind := separator, ""
	switch {
	case s.lines:
		before, behind = "", "\n"
	case s.count == 0:
		before = opening
	}
	s.count++
	if err := s.writeText(before); err != nil {
		return err
	}
	if _, err := s.out.w.Write(frame); err != nil {
		return err
	}
	return s.writeText(behind)
}

func (s *replies) writeText(text string) error {
	_, err := s.out.w.Write([]byte(text))
	return err
}

// end sends the rest of the response, or all of it. Without a reply, the status says whether a command may have run.
func (s *replies) end(received bool) error {
	defer s.release()
	switch {
	case s.held != nil && s.status != 0:
		text := *s.held
		s.out.setStatusHeaders(s.status)
		return s.out.writeAll(s.status, text[len(opening):len(text)-len(closing)])
	case s.held != nil:
		text := *s.held
		if inner := text[len(opening) : len(text)-len(closing)]; isList(inner) {
			text = inner // Kea puts no array around an array
		}
		return s.out.writeAll(http.StatusOK, text)
	case s.count == 0 && received:
		return s.out.writeAll(http.StatusInternalServerError, errorBody(http.StatusInternalServerError, ""))
	case s.count == 0:
		s.out.w.Header()["Connection"] = []string{"close"}
		s.out.setStatusHeaders(http.StatusServiceUnavailable)
		return s.out.writeAll(http.StatusServiceUnavailable, errorBody(http.StatusServiceUnavailable, ""))
	case s.lines:
		return nil
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTimeout))
	err := s.writeText(closing)
	if err == nil {
		err = s.out.Flush()
	}
	return err
}

func isList(frame []byte) bool { return len(frame) > 0 && frame[0] == '[' }
