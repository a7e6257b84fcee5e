package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A listener makes a conn of each request that its server receives.
type listener struct {
	kind        string
	auth        httpauth.RequestAuth
	crossOrigin *http.CrossOriginProtection
	limits      func() transport.FrameLimits // with their defaults

	memory    transport.Memory
	server    *httpauth.Server // nil in tests that bring the requests themselves
	conns     chan *conn
	accepting atomic.Bool // Accept was called
	closed    chan struct{}
	close     func() error
}

func newListener(ctx context.Context, t *Transport) *listener {
	l := &listener{
		memory:      transport.MemoryOf(ctx),
		kind:        kind(t.TLS != nil),
		crossOrigin: http.NewCrossOriginProtection(),
		limits: func() transport.FrameLimits {
			limits := t.limits()
			return transport.FrameLimits{
				MaxFrame: cmp.Or(limits.MaxFrame, transport.DefaultMaxFrame),
				Idle:     withDefault(limits.Idle, defaultIdle), FrameTimeout: withDefault(limits.FrameTimeout, defaultFrameTimeout),
			}
		},
		conns:  make(chan *conn),
		closed: make(chan struct{}),
	}
	l.auth = httpauth.RequestAuth{
		Transport: l.kind, AllowHosts: t.AllowHosts,
		Authenticator: t.Authenticator, OnRefused: t.OnRefused,
	}
	if !t.ProxyProtocol {
		l.auth.TrustedProxies = t.TrustedProxies
	}
	l.close = sync.OnceValue(l.closeServer)
	return l
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	l.accepting.Store(true)
	c, err := ctxio.Accept(ctx, l.closed, l.conns, nil)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// deliver blocks until Accept takes a conn. It returns false when the listener is closed.
func (l *listener) deliver(c *conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.closed:
		return false
	}
}

// Close implements transport.Listener. Requests whose conns were accepted are answered. Later requests on open
// connections get 503.
func (l *listener) Close() error { return l.close() }

func (l *listener) closeServer() error {
	close(l.closed)
	if l.server == nil {
		return nil
	}
	return l.server.Close()
}

// isOpen reports whether commands are accepted.
func (l *listener) isOpen() bool {
	select {
	case <-l.closed:
		return false
	default:
		return l.accepting.Load()
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.server.Addr() }

// serve handles one request. The checks that need no authentication come first, and the body is read last.
func (l *listener) serve(w http.ResponseWriter, r *http.Request) {
	out := &response{ResponseController: *http.NewResponseController(w), w: w, r: r, bodyTimeout: min(l.limits().Idle, defaultIdle), challenge: l.auth.Authenticator != nil}
	if refused := l.auth.CheckHost(r); refused != nil {
		out.refuse(refused)
		return
	}
	if refused := l.auth.CheckProxy(r); refused != nil {
		out.refuse(refused)
		return
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && l.health(out, r.URL.Path) {
		return
	}
	creds, refused := l.checkRequest(r)
	if refused != nil {
		out.refuse(refused)
		return
	}
	buf := bodies.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxFirstReply {
			bodies.Put(buf)
		}
	}()
	frame, body, err := l.receive(out, (*buf)[:0])
	*buf = frame[:0]
	if err != nil {
		out.refuse(l.bodyRefusal(r, err))
		return
	}
	c := newConn(out, frame, body, transport.Peer{
		Transport: l.kind, Session: httpauth.Session(r), Addr: l.auth.ClientAddr(r), Creds: creds,
	})
	c.target = transport.Target{Host: r.Host, Origin: r.Header.Get("Origin")}
	c.peer.Target = &c.target
	if !l.deliver(c) {
		_ = c.Close() // it answers 503, because no Receive was called
	}
	<-c.done
	if c.broken {
		panic(http.ErrAbortHandler) // the client must not take the incomplete response for a complete one
	}
}

// checkRequest checks the head of a request and returns the client's credentials.
func (l *listener) checkRequest(r *http.Request) ([]transport.Credential, *httpauth.RefusedError) {
	if err := l.crossOrigin.Check(r); err != nil {
		return nil, l.auth.Refuse(r, http.StatusForbidden, fmt.Errorf("the page %q is not allowed: only pages of this address are, and programs, which send neither Origin nor Sec-Fetch-Site (%w)",
			strings.Join(r.Header["Origin"], ", "), err))
	}
	if !strings.EqualFold(r.Method, http.MethodPost) { // Kea accepts lower case too
		return nil, &httpauth.RefusedError{
			Status: http.StatusMethodNotAllowed, Header: http.Header{"Allow": {http.MethodPost}},
			Err: errors.New("commands are POSTed"),
		}
	}
	if !isJSON(r.Header) {
		return nil, &httpauth.RefusedError{
			Status: http.StatusUnsupportedMediaType, Header: http.Header{"Accept": {"application/json"}},
			Err: errors.New("send it with Content-Type: application/json"),
		}
	}
	return l.auth.Authenticate(r)
}

// isJSON reports whether a body is uncompressed JSON in UTF-8. A page can make a browser send a form or plain text to
// any address, but not JSON (Fetch, CORS-safelisted request-header).
func isJSON(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	if types[0] == "application/json" {
		return true
	}
	media, parameters, err := mime.ParseMediaType(types[0])
	charset, has := parameters["charset"]
	return err == nil && media == "application/json" && (!has || strings.EqualFold(charset, "utf-8"))
}

// bodyRefusal returns the refusal of a body that is no frame, and reports it.
func (l *listener) bodyRefusal(r *http.Request, err error) *httpauth.RefusedError {
	var long *http.MaxBytesError
	bad, _ := errors.AsType[*transport.FrameError](err)
	switch {
	case errors.As(err, &long), bad != nil && bad.Reason == transport.TooLarge:
		return &httpauth.RefusedError{Status: http.StatusRequestEntityTooLarge, Err: fmt.Errorf("a command has at most %d bytes", l.limits().MaxFrame)}
	case bad != nil && bad.Reason == transport.TimedOut:
		return l.auth.Refuse(r, http.StatusRequestTimeout, err)
	}
	return l.auth.Malformed(r, http.StatusBadRequest, bodyError(err))
}

// bodyError returns what is wrong with a body that is no frame, and where.
func bodyError(err error) error {
	bad, ok := errors.AsType[*transport.FrameError](err)
	switch {
	case ok && bad.Reason == transport.CutOff:
		return fmt.Errorf("the body ends within the command, after %d bytes of it; is Content-Length right?", bad.Discarded)
	case ok && bad.Reason == transport.BadFirstByte && bad.Offset == 0:
		return fmt.Errorf("a command is a JSON object, and the body begins with %q", rune(bad.Byte))
	case ok && bad.Reason == transport.BadFirstByte:
		return fmt.Errorf("no command begins with %q, at byte %d of the body", rune(bad.Byte), bad.Offset)
	case ok, errors.Is(err, errEmpty), errors.Is(err, errSecond):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body ends before its Content-Length or its last chunk")
	}
	return err
}

// health answers the paths for health checks. It returns false for any other path.
func (l *listener) health(out *response, path string) bool {
	status, text := http.StatusOK, "ok\n"
	switch path {
	case "/healthz":
	case "/readyz":
		if !l.isOpen() {
			status, text = http.StatusServiceUnavailable, "takes no commands\n"
		}
	default:
		return false
	}
	out.w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	out.writeHead(status)
	_, _ = io.WriteString(out.w, text)
	return true
}
