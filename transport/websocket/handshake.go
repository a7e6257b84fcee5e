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

// A handshake is a request on its way to become a conn.
type handshake struct {
	*Handler
	w      http.ResponseWriter
	r      *http.Request
	auth   httpauth.RequestAuth
	answer http.Header // goes with the upgrade
}

// shake makes a conn of the request, or says why not. What costs least is looked at first; who it is,
// last.
func (s *handshake) shake() *httpauth.RefusedError {
	for _, check := range []func() *httpauth.RefusedError{s.host, s.proxy, s.where, s.upgrade, s.origin, s.subprotocol} {
		if no := check(); no != nil {
			return no
		}
	}
	l := s.listener.Load()
	if l == nil {
		return s.refuse(http.StatusServiceUnavailable, errors.New("the daemon does not listen here at the moment"))
	}
	creds, no := s.identify()
	if no != nil {
		return no
	}
	if !l.enter() {
		return s.refuse(http.StatusServiceUnavailable, fmt.Errorf("there are %d connections already", cap(l.ready)))
	}
	c, no := s.open(creds, l)
	if c == nil {
		l.leave()
		return no
	}
	l.offer(c)
	return nil
}

func (s *handshake) refuse(status int, err error) *httpauth.RefusedError {
	return s.auth.Refuse(s.r, status, err)
}

func (s *handshake) host() *httpauth.RefusedError   { return s.auth.CheckHost(s.r) }
func (s *handshake) proxy() *httpauth.RefusedError  { return s.auth.CheckProxy(s.r) }
func (s *handshake) origin() *httpauth.RefusedError { return s.auth.CheckOrigin(s.r) }

func (s *handshake) where() *httpauth.RefusedError {
	if s.path == "" || s.r.URL.Path == s.path {
		return nil
	}
	return s.refuse(http.StatusNotFound, fmt.Errorf("there is nothing at %q", s.r.URL.Path))
}

// upgrade refuses what does not ask for a WebSocket (RFC 6455, section 4.2.1).
func (s *handshake) upgrade() *httpauth.RefusedError {
	if s.r.Method != http.MethodGet {
		no := s.refuse(http.StatusMethodNotAllowed, fmt.Errorf("a WebSocket is opened with GET, not %s", s.r.Method))
		no.Header.Set("Allow", http.MethodGet)
		return no
	}
	if gorilla.IsWebSocketUpgrade(s.r) && s.r.Header.Get("Sec-Websocket-Version") == "13" {
		if s.r.ContentLength != 0 { // a proxy takes the body for one, and we would take it for messages
			return s.refuse(http.StatusBadRequest, errors.New("the request for a WebSocket has a body"))
		}
		return nil
	}
	no := s.refuse(http.StatusUpgradeRequired, errors.New("a WebSocket of version 13 is here, and nothing else"))
	no.Header.Set("Upgrade", "websocket")
	no.Header.Set("Sec-Websocket-Version", "13")
	return no
}

// subprotocol refuses clients that mean to speak something else, and pages that do not say what they
// mean to speak. The answer must not name what nobody has named.
func (s *handshake) subprotocol() *httpauth.RefusedError {
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

// identify returns what the client has proven.
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

// open upgrades the request. There is neither a conn nor an answer when nobody is left to be told.
func (s *handshake) open(creds []transport.Credential, l *listener) (c *conn, no *httpauth.RefusedError) {
	upgrader := gorilla.Upgrader{
		HandshakeTimeout: handshakeTimeout,
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  &writeBuffers,
		CheckOrigin:      func(*http.Request) bool { return true }, // it has been
		Error:            func(_ http.ResponseWriter, _ *http.Request, status int, err error) { no = s.refuse(status, err) },
	}
	hijacker := &hijacker{ResponseWriter: s.w}
	ws, err := upgrader.Upgrade(hijacker, s.r, s.answer)
	if err != nil {
		if no == nil {
			_ = s.refuse(http.StatusBadRequest, err)
		}
		return nil, no
	}
	_ = hijacker.line.SetDeadline(noDeadline)
	peer := transport.Peer{
		Transport: s.auth.Transport,
		Session:   httpauth.Session(s.r),
		Addr:      s.auth.ClientAddr(s.r),
		Creds:     creds,
		Target:    &transport.Target{Host: s.r.Host, Origin: s.r.Header.Get("Origin")},
	}
	cfg := s.t.accepted(peer, l.leave)
	cfg.memory = l.memory
	return newConn(ws, hijacker.line, hijacker.in, cfg), nil
}

// A hijacker gives gorilla a line to speak through.
type hijacker struct {
	http.ResponseWriter
	line *line
	in   *bufio.Reader // that gorilla reads from
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.line = &line{Conn: c}
	if rw.Reader.Buffered() > 0 { // gorilla refuses it
		return h.line, rw, nil
	}
	h.in = bufio.NewReaderSize(h.line, readBuffer)
	return h.line, bufio.NewReadWriter(h.in, rw.Writer), nil
}
