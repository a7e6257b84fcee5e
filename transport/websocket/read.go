package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/transport"
)

// read is the conn's goroutine: it fills the inbox until nothing more can be received, and closes the
// connection once nothing more can be sent.
func (c *conn) read() {
	defer c.cfg.over()
	defer func() { _ = c.line.Close() }()
	defer c.turn.end()
	c.inbox.finish(c.fill())
	<-c.ctx.Done()
	if c.closed.Load() {
		<-c.said
		c.drain()
	}
}

// fill puts what arrives into the inbox, and returns why there is no more.
func (c *conn) fill() error {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return c.why(err, 0)
		}
		if kind != gorilla.TextMessage {
			return c.refuse(gorilla.CloseUnsupportedData, &transport.FrameError{Reason: transport.Binary})
		}
		c.line.begin()
		buf, err := c.message(r)
		if err != nil {
			return err
		}
		c.line.whole()
		frame, err := transport.Frame(*buf)
		if err != nil {
			return c.refuse(gorilla.CloseInvalidFramePayloadData, err)
		}
		if err := c.inbox.put(c.ctx, arrived{frame, buf}); err != nil {
			return err
		}
		c.rest()
	}
}

// message reads one message. Its buffer grows with what arrives.
func (c *conn) message(r io.Reader) (*[]byte, error) {
	buf := buffers.Get().(*[]byte)
	b := *buf
	if err := c.held.add(cap(b)); err != nil {
		return nil, c.overBudget(err)
	}
	whole := false
	defer func() {
		if !whole {
			_ = c.held.add(-cap(b))
		}
	}()
	for {
		if len(b) == cap(b) {
			grown, err := c.grow(b)
			if err != nil {
				return nil, c.overBudget(err)
			}
			b = grown
		}
		n, err := r.Read(b[len(b):min(cap(b), c.cfg.maxFrame+1)])
		b = b[:len(b)+n]
		switch {
		case len(b) > c.cfg.maxFrame:
			return nil, c.tooLarge()
		case err == io.EOF:
			*buf, whole = b, true
			return buf, nil
		case err != nil:
			return nil, c.why(err, len(b))
		}
	}
}

// grow copies a buffer into one of twice its length. Until that is done both are held, and counted. Near a limit the
// new one is only a quarter longer.
func (c *conn) grow(b []byte) ([]byte, error) {
	size := min(2*cap(b), max(c.cfg.maxFrame+1, cap(b)+1))
	err := c.held.add(size)
	if err != nil {
		size = cap(b) + max(cap(b)/4, 1)
		err = c.held.add(size)
	}
	if err != nil {
		return nil, err
	}
	grown := append(make([]byte, 0, size), b...)
	return grown, c.held.add(-cap(b))
}

// overBudget ends receiving, since the manager allows the conn no more memory.
func (c *conn) overBudget(err error) error {
	c.bye.Store(&goodbye{gorilla.CloseTryAgainLater, "too many bytes are held for this peer"})
	return err
}

func (c *conn) tooLarge() error {
	return c.refuse(gorilla.CloseMessageTooBig, &transport.FrameError{Reason: transport.TooLarge, Limit: c.cfg.maxFrame})
}

// refuse notes what the close frame will say. The peer can still hear us.
func (c *conn) refuse(code int, err error) error {
	c.bye.Store(&goodbye{code, err.Error()})
	return err
}

// why tells what a failed read means for Receive, with so many bytes of a message that is not whole.
func (c *conn) why(err error, unfinished int) error {
	closing, closed := errors.AsType[*gorilla.CloseError](err)
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.ctx.Err() != nil: // the peer has closed, or was given up
		if peer, ok := errors.AsType[*closeError](context.Cause(c.ctx)); ok {
			return peer.end()
		}
		return context.Cause(c.ctx)
	case c.line.timedOut:
		return c.refuse(gorilla.ClosePolicyViolation, &transport.FrameError{Reason: transport.TimedOut, Discarded: unfinished})
	case errors.Is(err, gorilla.ErrReadLimit): // more bytes were announced than there are numbers for
		return c.tooLarge()
	case closed && closing.Code == gorilla.CloseAbnormalClosure:
		c.gone(errNoCloseFrame)
		if unfinished > 0 {
			return &transport.FrameError{Reason: transport.CutOff, Discarded: unfinished}
		}
		return errNoCloseFrame
	case c.line.failed:
		c.gone(err)
		return err
	}
	c.gone(fmt.Errorf("the peer does not keep to RFC 6455: %w", err)) // gorilla has told it
	return &transport.FrameError{Reason: transport.BadEncoding}
}

var errNoCloseFrame = fmt.Errorf("the peer has left without a close frame: %w", io.ErrUnexpectedEOF)

// drain reads what nobody wants, until the peer has answered our close frame or its time is up: a
// socket with something unread in it takes back what it has sent.
func (c *conn) drain() {
	for {
		_, r, err := c.ws.NextReader()
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return
		}
	}
}
