package websocket

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A Handler is a place on an author's own mux: requests become the conns of whoever listens on it.
// While nobody does they are answered 503.
type Handler struct {
	t        *Transport
	path     string // the only one there is; empty: what the mux says
	listener atomic.Pointer[listener]
}

var (
	_ http.Handler        = (*Handler)(nil)
	_ transport.Transport = (*Handler)(nil)
)

// Listen implements transport.Transport. A handler has one live listener at a time; another gets
// syscall.EADDRINUSE.
func (h *Handler) Listen(ctx context.Context) (transport.Listener, error) {
	err := context.Cause(ctx)
	l := newListener(ctx, h)
	if err == nil && !h.listener.CompareAndSwap(nil, l) {
		err = syscall.EADDRINUSE
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "ws", Addr: l.Addr(), Err: err}
	}
	return l, nil
}

// ServeHTTP implements http.Handler. It returns when the request has become a conn or been refused.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), handshakeTimeout)
	defer cancel()
	s := &handshake{Handler: h, w: w, r: r.WithContext(ctx), auth: httpauth.RequestAuth{
		Transport:     kind(r.TLS != nil),
		AllowHosts:    h.t.AllowHosts,
		AllowOrigins:  h.t.AllowOrigins,
		Authenticator: h.t.Authenticator,
		OnRefused:     h.t.OnRefused,
	}}
	if !h.t.ProxyProtocol {
		s.auth.TrustedProxies = h.t.TrustedProxies
	}
	if no := s.shake(); no != nil {
		refuse(w, no)
	}
}

// refuse answers a request that becomes no conn, and ends its connection.
func refuse(w http.ResponseWriter, no *httpauth.RefusedError) {
	text := http.StatusText(no.Status)
	if no.Status != http.StatusUnauthorized && no.Status != http.StatusTooManyRequests { // nobody learns what was wrong
		text += ": " + no.Error()
	}
	quoted, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\ufffd"))
	for name, values := range no.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Connection", "close")
	if no.Status == http.StatusUpgradeRequired {
		w.Header().Set("Connection", "upgrade, close") // RFC 9110, section 7.8
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(no.Status)
	_, _ = fmt.Fprintf(w, `{ "result": %d, "text": %s }`, no.Status, quoted)
}
