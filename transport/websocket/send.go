package websocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/internal/ctxio"
)

// Send implements transport.Conn. Each frame is one message; all of them are written together.
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
	stop := ctxio.SetWriteDeadlineOnDone(ctx, c.sock.Conn)
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

// send writes frames. It locks c.writing and does not unlock it.
func (c *conn) send(ctx context.Context, frames [][]byte) error {
	c.writing.Lock()
	c.sending.Store(true)
	defer c.sending.Store(false)
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case ctx.Err() != nil: // controlLocked may have removed the deadline of ctx
		return context.Cause(ctx)
	}
	err := c.writeLocked(func() error {
		if len(frames) == 1 && len(frames[0]) <= writeBuffer {
			return c.ws.WriteMessage(gorilla.TextMessage, frames[0])
		}
		return c.sock.writeTogether(func() error {
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
		c.fail(err)
	}
	return err
}

// writeLocked calls f, which writes, unless an earlier write has failed. The caller holds c.writing.
func (c *conn) writeLocked(f func() error) error {
	if c.broken {
		return errBroken
	}
	err := f()
	c.broken = err != nil
	return err
}

// release unlocks c.writing, and answers a ping that has arrived meanwhile.
func (c *conn) release() {
	for {
		if data := c.unansweredPing.Swap(nil); data != nil {
			c.controlLocked(gorilla.PongMessage, []byte(*data))
		}
		c.writing.Unlock()
		if c.unansweredPing.Load() == nil || !c.writing.TryLock() {
			return
		}
	}
}

var errBroken = errors.New("an earlier write has failed in the middle of a message")

// controlLocked writes a control frame, and waits up to controlTimeout for a slow peer. The caller holds c.writing.
func (c *conn) controlLocked(kind int, data []byte) {
	deadline := time.Now().Add(controlTimeout)
	err := c.writeLocked(func() error {
		return c.ws.WriteControl(kind, data, deadline)
	})
	_ = c.sock.Conn.SetWriteDeadline(noDeadline)
	if err != nil {
		c.fail(err)
	}
}

const controlTimeout = 30 * time.Second

// onPing answers a ping. If a write is in progress, release answers after it. Only the last ping needs a pong (RFC 6455,
// section 5.5.3).
func (c *conn) onPing(data string) {
	c.unansweredPing.Store(&data)
	if c.writing.TryLock() {
		c.release()
	}
}

// startPings starts the ping timer.
func (c *conn) startPings() {
	if c.cfg.pingEvery == 0 {
		return
	}
	c.lastPing = time.Now()
	c.pingTimer = time.AfterFunc(time.Hour, c.onPingTimer)
	c.pingTimer.Reset(c.cfg.pingEvery)
}

// onPingTimer sends a ping when one is due, ends the conn when a ping was not answered in time, and sets the timer
// again. Any bytes from the peer are an answer. While a message is being sent, or the inbox is full, a missing pong
// does not count: it may be behind other data.
func (c *conn) onPingTimer() {
	if c.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if c.sock.dataArrived.Swap(false) || c.sending.Load() || c.inbox.isFull() {
		c.unansweredSince = time.Time{}
	}
	unanswered := !c.unansweredSince.IsZero()
	if unanswered && c.cfg.pongUntil > 0 && now.Sub(c.unansweredSince) >= c.cfg.pongUntil {
		c.fail(fmt.Errorf("the peer has not answered for %s, not even a ping", now.Sub(c.unansweredSince).Round(time.Second)))
		c.sock.closeAfter(0)
		return
	}
	if now.Sub(c.lastPing) >= c.cfg.pingEvery {
		c.lastPing = now
		if !unanswered {
			c.unansweredSince = now
		}
		if c.writing.TryLock() {
			c.controlLocked(gorilla.PingMessage, nil)
			c.release()
		}
	}
	next := c.cfg.pingEvery - time.Since(c.lastPing)
	if !c.unansweredSince.IsZero() && c.cfg.pongUntil > 0 {
		next = min(next, c.cfg.pongUntil-time.Since(c.unansweredSince))
	}
	c.pingTimer.Reset(max(next, 0))
}
