package websocket

import (
	"fmt"
	"io"
	"net"
	"time"

	gorilla "github.com/gorilla/websocket"
)

// A goodbye is what a close frame says.
type goodbye struct {
	code int
	text string
}

// What a listener's conn and a dialed one say at their end, when nothing was wrong.
var (
	lastRequest = goodbye{gorilla.CloseNormalClosure, "the conversation is over: a request without an id is the last one"}
	enough      = goodbye{gorilla.CloseNormalClosure, ""}
)

// GoAway makes the close frame that Close sends say 1001, going away (RFC 6455, section 7.4.1), and why in at most 123
// bytes. It sends nothing itself, and does nothing when the close frame already tells of an error.
func (c *conn) GoAway(why string) {
	c.bye.CompareAndSwap(&c.cfg.bye, &goodbye{gorilla.CloseGoingAway, why[:min(len(why), 123)]})
}

// closeTimeout is how long our close frame may take to go out, and then the peer's to come in.
const closeTimeout = time.Second

// Close implements transport.Conn. It says goodbye; the connection is closed when the peer has, too,
// or has not within a second.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.gone(net.ErrClosed)
	defer c.held.use.Close()
	notify(c.inbox.filled)
	if c.timer != nil {
		c.timer.Stop()
	}
	patience := closeTimeout
	if !c.say(*c.bye.Load()) {
		patience = 0
	}
	c.line.closeSoon(patience)
	close(c.said)
	return nil
}

// say sends a close frame, and reports whether that could be done. A Send that is under way is given
// up, and nothing can be said behind it.
func (c *conn) say(bye goodbye) bool {
	if c.sending.Load() {
		_ = c.line.Conn.SetWriteDeadline(past)
	} else {
		_ = c.line.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	text := bye.text
	return nil == c.write(func() error {
		return c.ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(bye.code, text), time.Now().Add(closeTimeout))
	})
}

// peerCloses answers the peer's close frame, which is its departure: it hears nothing more.
func (c *conn) peerCloses(code int, text string) {
	c.gone(&closeError{code, text})
	if !c.closed.Load() {
		c.say(goodbye{code: code})
	}
}

// A closeError is the peer's close frame.
type closeError struct {
	code int
	text string
}

// Error tells what the peer said.
func (p *closeError) Error() string {
	if p.text == "" {
		return fmt.Sprintf("the peer has closed (%d)", p.code)
	}
	return fmt.Sprintf("the peer has closed (%d): %s", p.code, p.text)
}

// Unwrap makes it an io.EOF: the peer will say no more.
func (p *closeError) Unwrap() error { return io.EOF }

// end is what Receive returns.
func (p *closeError) end() error {
	switch p.code {
	case gorilla.CloseNormalClosure, gorilla.CloseGoingAway, gorilla.CloseNoStatusReceived:
		return io.EOF
	}
	return p
}
