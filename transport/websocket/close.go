package websocket

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/transport"
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

// notAccepted is the reason for conns that wait for Accept when their listener closes.
var notAccepted = transport.CloseReason{Code: transport.GoingAway, Text: "the daemon does not listen here any more"}

// closeCodes are the codes of RFC 6455, section 7.4.1.
var closeCodes = map[transport.CloseCode]int{
	transport.NormalClosure:   gorilla.CloseNormalClosure,
	transport.GoingAway:       gorilla.CloseGoingAway,
	transport.PolicyViolation: gorilla.ClosePolicyViolation,
}

// CloseWithReason implements transport.ReasonCloser.
func (c *conn) CloseWithReason(reason transport.CloseReason) error {
	c.bye.CompareAndSwap(&c.cfg.bye, &goodbye{closeCodes[reason.Code], reason.Text})
	return c.Close()
}

// maxReason is the longest text of a close frame in bytes: a control frame has at most 125, two of which are the code
// (RFC 6455, section 5.5).
const maxReason = 123

// closeText makes text fit into a close frame. It cuts off what is too long at the end of a character. A text that is no
// UTF-8 is repaired, since the peer fails the connection otherwise.
func closeText(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= maxReason {
		return text
	}
	const ellipsis = "…"
	end := maxReason - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
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
	text := closeText(bye.text)
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
