package websocket

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A handshake is a request that asks for a WebSocket.
type handshake struct {
	*Handler
	w      http.ResponseWriter
	r      *http.Request
	auth   httpauth.RequestAuth
	answer http.Header // headers of the 101
}

// run makes a conn of the request, or returns why it is refused. The cheapest checks come first, and authentication
// last.
func (s *handshake) run() *httpauth.RefusedError {
	for _, check := range []func() *httpauth.RefusedError{s.checkHost, s.checkProxy, s.checkPath, s.checkUpgrade, s.checkOrigin, s.checkSubprotocol} {
		if refused := check(); refused != nil {
			return refused
		}
	}
	l := s.listener.Load()
	if l == nil {
		return s.refuse(http.StatusServiceUnavailable, errors.New("the daemon does not listen here at the moment"))
	}
	creds, refused := s.identify()
	if refused != nil {
		return refused
	}
	if !l.acquire() {
		return s.refuse(http.StatusServiceUnavailable, fmt.Errorf("there are %d connections already", cap(l.ready)))
	}
	c, refused := s.open(creds, l)
	if c == nil {
		l.release()
		return refused
	}
	l.deliver(c)
	return nil
}

func (s *handshake) refuse(status int, err error) *httpauth.RefusedError {
	return s.auth.Refuse(s.r, status, err)
}

func (s *handshake) checkHost() *httpauth.RefusedError   { return s.auth.CheckHost(s.r) }
func (s *handshake) checkProxy() *httpauth.RefusedError  { return s.auth.CheckProxy(s.r) }
func (s *handshake) checkOrigin() *httpauth.RefusedError { return s.auth.CheckOrigin(s.r) }

func (s *handshake) checkPath() *httpauth.RefusedError {
	if s.path == "" || s.r.URL.Path == s.path {
		return nil
	}
	return s.refuse(http.StatusNotFound, fmt.Errorf("there is nothing at %q", s.r.URL.Path))
}

// checkUpgrade refuses requests that do not ask for a WebSocket of version 13 (RFC 6455, section 4.2.1).
func (s *handshake) checkUpgrade() *httpauth.RefusedError {
	if s.r.Method != http.MethodGet {
		refused := s.refuse(http.StatusMethodNotAllowed, fmt.Errorf("a WebSocket is opened with GET, not %s", s.r.Method))
		refused.Header.Set("Allow", http.MethodGet)
		return refused
	}
	if gorilla.IsWebSocketUpgrade(s.r) && s.r.Header.Get("Sec-Websocket-Version") == "13" {
		if s.r.ContentLength != 0 { // a proxy would treat these bytes as a body, and the daemon as messages
			return s.refuse(http.StatusBadRequest, errors.New("the request for a WebSocket has a body"))
		}
		return nil
	}
	refused := s.refuse(http.StatusUpgradeRequired, errors.New("only WebSocket connections of version 13 are accepted here"))
	refused.Header.Set("Upgrade", "websocket")
	refused.Header.Set("Sec-Websocket-Version", "13")
	return refused
}

// checkSubprotocol refuses clients that name only other subprotocols, and pages that name none. The answer has a
// subprotocol only if the client has named one.
func (s *handshake) checkSubprotocol() *httpauth.RefusedError {
	lines := strings.Join(s.r.Header["Sec-Websocket-Protocol"], ",")
	named := strings.FieldsFunc(lines, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	switch {
	case slices.Contains(named, Subprotocol):
		s.answer = http.Header{"Sec-Websocket-Protocol": {Subprotocol}}
		return nil
	case len(named) == 0 && len(s.r.Header["Origin"]) == 0:
		return nil
	}
	return s.refuse(http.StatusBadRequest, fmt.Errorf("the subprotocol here is %q, and not one of %q", Subprotocol, named))
}

// identify returns the client's credentials.
func (s *handshake) identify() ([]transport.Credential, *httpauth.RefusedError) {
	if s.t.Identify != nil {
		creds, err := s.t.Identify(s.r)
		if err != nil {
			return nil, s.refuse(http.StatusUnauthorized, err)
		}
		if len(creds) > 0 {
			return creds, nil
		}
	}
	return s.auth.Authenticate(s.r)
}

// open upgrades the request. Both results are nil when the client has closed the connection.
func (s *handshake) open(creds []transport.Credential, l *listener) (c *conn, refused *httpauth.RefusedError) {
	upgrader := gorilla.Upgrader{
		HandshakeTimeout: handshakeTimeout,
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  &writeBuffers,
		CheckOrigin:      func(*http.Request) bool { return true }, // checkOrigin has checked it
		Error:            func(_ http.ResponseWriter, _ *http.Request, status int, err error) { refused = s.refuse(status, err) },
	}
	hijackWriter := &hijackWriter{ResponseWriter: s.w}
	ws, err := upgrader.Upgrade(hijackWriter, s.r, s.answer)
	if err != nil {
		if refused == nil {
			_ = s.refuse(http.StatusBadRequest, err)
		}
		return nil, refused
	}
	_ = hijackWriter.conn.SetDeadline(noDeadline)
	peer := transport.Peer{
		Transport: s.auth.Transport,
		Session:   httpauth.Session(s.r),
		Addr:      s.auth.ClientAddr(s.r),
		Creds:     creds,
		Target:    &transport.Target{Host: s.r.Host, Origin: s.r.Header.Get("Origin")},
	}
	cfg := s.t.accepted(peer, l.release)
	cfg.memory = l.memory
	return newConn(ws, hijackWriter.conn, hijackWriter.in, cfg), nil
}

// A hijackWriter gives gorilla a deadlineConn, with a buffer from which Receive can read too.
type hijackWriter struct {
	http.ResponseWriter
	conn *deadlineConn
	in   *bufio.Reader // that gorilla reads from
}

// Hijack implements http.Hijacker.
func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &deadlineConn{Conn: c}
	if rw.Reader.Buffered() > 0 { // gorilla refuses the request then
		return h.conn, rw, nil
	}
	h.in = bufio.NewReaderSize(h.conn, readBuffer)
	return h.conn, bufio.NewReadWriter(h.in, rw.Writer), nil
}
