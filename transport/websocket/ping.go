package websocket

import (
	"errors"
	"fmt"
	"time"

	gorilla "github.com/gorilla/websocket"
)

var errBroken = errors.New("a message was cut off before")

// control writes a control frame, and waits for a slow peer as long as it would for a pong. writing
// is held.
func (c *conn) control(kind int, data []byte) {
	deadline := time.Now().Add(controlTimeout)
	err := c.write(func() error {
		return c.ws.WriteControl(kind, data, deadline)
	})
	_ = c.line.Conn.SetWriteDeadline(noDeadline)
	if err != nil {
		c.gone(err)
	}
}

const controlTimeout = 30 * time.Second

// pong answers a ping, or leaves that to whoever is writing: a peer may be owed one only, the last
// (RFC 6455, section 5.5.3).
func (c *conn) pong(data string) {
	c.owed.Store(&data)
	if c.writing.TryLock() {
		c.release()
	}
}

// startPings begins to ask whether the peer is there.
func (c *conn) startPings() {
	if c.cfg.pingEvery == 0 {
		return
	}
	c.pinged = time.Now()
	c.timer = time.AfterFunc(time.Hour, c.beat)
	c.timer.Reset(c.cfg.pingEvery)
}

// beat pings when it is time, gives up a peer that has left a ping unanswered for too long, and says
// when it wants to be called again. Whatever comes from the peer is an answer. While it is being sent
// something a pong may be far behind that, and while the inbox is full nobody would hear it.
func (c *conn) beat() {
	if c.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if c.line.heard.Swap(false) || c.sending.Load() || c.inbox.isFull() {
		c.asked = time.Time{}
	}
	unanswered := !c.asked.IsZero()
	if unanswered && c.cfg.pongUntil > 0 && now.Sub(c.asked) >= c.cfg.pongUntil {
		c.gone(fmt.Errorf("the peer has not answered for %s, not even a ping", now.Sub(c.asked).Round(time.Second)))
		c.line.closeSoon(0)
		return
	}
	if now.Sub(c.pinged) >= c.cfg.pingEvery {
		c.pinged = now
		if !unanswered {
			c.asked = now
		}
		if c.writing.TryLock() {
			c.control(gorilla.PingMessage, nil)
			c.release()
		}
	}
	next := c.cfg.pingEvery - time.Since(c.pinged)
	if !c.asked.IsZero() && c.cfg.pongUntil > 0 {
		next = min(next, c.cfg.pongUntil-time.Since(c.asked))
	}
	c.timer.Reset(max(next, 0))
}
