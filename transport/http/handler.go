package http

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// serve is the life of a request. What needs no trust is checked first, and the body is read last.
func (l *listener) serve(w http.ResponseWriter, r *http.Request) {
	out := &response{ResponseController: *http.NewResponseController(w), w: w, r: r, patience: min(l.limits().Idle, defaultIdle), challenge: l.auth.Authenticator != nil}
	if no := l.auth.CheckHost(r); no != nil {
		out.refuse(no)
		return
	}
	if no := l.auth.CheckProxy(r); no != nil {
		out.refuse(no)
		return
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && l.health(out, r.URL.Path) {
		return
	}
	creds, no := l.admit(r)
	if no != nil {
		out.refuse(no)
		return
	}
	body := bodies.Get().(*[]byte)
	defer func() {
		if cap(*body) <= maxHeld {
			bodies.Put(body)
		}
	}()
	frame, rest, err := l.receive(out, (*body)[:0])
	*body = frame[:0]
	if err != nil {
		out.refuse(l.unreadable(r, err))
		return
	}
	c := newConn(out, frame, rest, transport.Peer{
		Transport: l.kind, Session: httpauth.Session(r), Addr: l.auth.ClientAddr(r), Creds: creds,
	})
	c.target = transport.Target{Host: r.Host, Origin: r.Header.Get("Origin")}
	c.peer.Target = &c.target
	if !l.offer(c) {
		_ = c.Close() // which answers 503, since nobody has received anything
	}
	<-c.done
	if c.broken {
		panic(http.ErrAbortHandler) // what is out already must not look whole
	}
}

// admit checks everything but the body.
func (l *listener) admit(r *http.Request) ([]transport.Credential, *httpauth.RefusedError) {
	if err := l.pages.Check(r); err != nil {
		return nil, l.auth.Refuse(r, http.StatusForbidden, fmt.Errorf("the page %q may not: only pages of this address may, and programs, which send neither Origin nor Sec-Fetch-Site (%w)",
			strings.Join(r.Header["Origin"], ", "), err))
	}
	if !strings.EqualFold(r.Method, http.MethodPost) { // Kea takes a post for one
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

// isJSON reports whether a body is JSON in UTF-8, as it is. A page can make a browser send a form or
// plain text to anybody, but not JSON (Fetch, CORS-safelisted request-header).
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

// unreadable makes an HTTP status of a body that is no frame, and reports it.
func (l *listener) unreadable(r *http.Request, err error) *httpauth.RefusedError {
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

// bodyError says what is wrong with a body that is no frame, and where.
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

// health answers a load balancer, or does not know the path.
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
	out.head(status)
	_, _ = io.WriteString(out.w, text)
	return true
}
