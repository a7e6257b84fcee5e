package websocket

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
)

// A closeReason is the code and text of a close frame.
type closeReason struct {
	code int
	text string
}

// The close reasons of an accepted conn and of a dialed conn without an error.
var (
	afterLastRequest = closeReason{gorilla.CloseNormalClosure, "the conn has ended: a request without an id is the last one"}
	noReason         = closeReason{gorilla.CloseNormalClosure, ""}
)

// notAccepted is the reason for conns that were not accepted when their listener closes.
var notAccepted = transport.CloseReason{Code: transport.GoingAway, Text: "the daemon does not listen here any more"}

// closeCodes are the codes of RFC 6455, section 7.4.1.
var closeCodes = map[transport.CloseCode]int{
	transport.NormalClosure:   gorilla.CloseNormalClosure,
	transport.GoingAway:       gorilla.CloseGoingAway,
	transport.PolicyViolation: gorilla.ClosePolicyViolation,
}

// CloseWithReason implements transport.ReasonCloser.
func (c *conn) CloseWithReason(reason transport.CloseReason) error {
	c.reason.CompareAndSwap(&c.cfg.reason, &closeReason{closeCodes[reason.Code], reason.Text})
	return c.Close()
}

// maxReason is the longest text of a close frame in bytes: a control frame has at most 125 bytes, and two are the
// code (RFC 6455, section 5.5).
const maxReason = 123

// closeText shortens text to maxReason, at the end of a character. It replaces invalid UTF-8, for which the peer
// would fail the connection.
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

// closeTimeout is how long the close frame may take, and then how long to wait for the peer's close frame.
const closeTimeout = time.Second

// Close implements transport.Conn. It sends the close frame, and blocks for at most one second. The connection is closed
// when the peer's close frame arrives, or after another second.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.fail(net.ErrClosed)
	defer c.held.use.Close()
	notify(c.inbox.filled)
	if c.pingTimer != nil {
		c.pingTimer.Stop()
	}
	wait := closeTimeout
	if !c.sendClose(*c.reason.Load()) {
		wait = 0
	}
	c.sock.closeAfter(wait)
	close(c.closeSent)
	return nil
}

// sendClose sends a close frame, and reports whether it was sent. It ends a Send in progress; then no close frame can
// be sent.
func (c *conn) sendClose(reason closeReason) bool {
	if c.sending.Load() {
		_ = c.sock.Conn.SetWriteDeadline(ctxio.LongAgo)
	} else {
		_ = c.sock.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	text := closeText(reason.text)
	return nil == c.writeLocked(func() error {
		return c.ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(reason.code, text), time.Now().Add(closeTimeout))
	})
}

// onCloseFrame answers the peer's close frame. After it the peer receives nothing, so the conn's context ends.
func (c *conn) onCloseFrame(code int, text string) {
	c.fail(&closeError{code, text})
	if !c.closed.Load() {
		c.sendClose(closeReason{code: code})
	}
}

// A closeError is the close frame of the peer.
type closeError struct {
	code int
	text string
}

// Error returns the code and the text.
func (p *closeError) Error() string {
	if p.text == "" {
		return fmt.Sprintf("the peer has closed (%d)", p.code)
	}
	return fmt.Sprintf("the peer has closed (%d): %s", p.code, p.text)
}

// Unwrap returns io.EOF: no frame follows.
func (p *closeError) Unwrap() error { return io.EOF }

// end returns the error of Receive: io.EOF for the codes of a normal end.
func (p *closeError) end() error {
	switch p.code {
	case gorilla.CloseNormalClosure, gorilla.CloseGoingAway, gorilla.CloseNoStatusReceived:
		return io.EOF
	}
	return p
}
