package websocket

import (
	"context"
	"net"

	gorilla "github.com/gorilla/websocket"
)

// Send implements transport.Conn. Each frame is a message of its own; all go out together.
func (c *conn) Send(ctx context.Context, frames ...[]byte) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(frames) == 0 {
		return nil
	}
	stop := c.until(ctx)
	err := c.send(ctx, frames)
	stop()
	c.release()
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return net.ErrClosed
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	}
	return err
}

// send writes frames, and keeps the right to write.
func (c *conn) send(ctx context.Context, frames [][]byte) error {
	c.writing.Lock()
	c.sending.Store(true)
	defer c.sending.Store(false)
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case ctx.Err() != nil: // its deadline may have been taken back with that of a ping
		return context.Cause(ctx)
	}
	err := c.write(func() error {
		if len(frames) == 1 && len(frames[0]) <= writeBuffer {
			return c.ws.WriteMessage(gorilla.TextMessage, frames[0])
		}
		return c.line.together(func() error {
			for _, frame := range frames {
				if err := c.ws.WriteMessage(gorilla.TextMessage, frame); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		c.gone(err)
	}
	return err
}

// write calls f, which writes, unless nothing can be written any more. writing is held.
func (c *conn) write(f func() error) error {
	if c.broken {
		return errBroken
	}
	err := f()
	c.broken = err != nil
	return err
}

// until makes a write end when ctx does, by way of a deadline in the past. That deadline is gone when
// stop returns.
func (c *conn) until(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	set := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(set)
		_ = c.line.Conn.SetWriteDeadline(past)
	})
	return func() {
		if !cancel() {
			<-set
			_ = c.line.Conn.SetWriteDeadline(noDeadline)
		}
	}
}

// release gives the right to write back, and answers a ping that came meanwhile.
func (c *conn) release() {
	for {
		if data := c.owed.Swap(nil); data != nil {
			c.control(gorilla.PongMessage, []byte(*data))
		}
		c.writing.Unlock()
		if c.owed.Load() == nil || !c.writing.TryLock() {
			return
		}
	}
}
