package websocket

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
	"github.com/rudderpost/rudderpost/transport/internal/limits"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Subprotocol is the name of this protocol (RFC 6455, section 1.9). A client that names subprotocols must name it,
// and a page must name it. Any other client may name none.
const Subprotocol = "rudderpost.v1"

// Transport listens on, and dials, a WebSocket address: wss with TLS, ws without. Its methods may be called from any
// goroutine. The fields must not change after the first call.
type Transport struct {
	// Address is where to listen or which daemon to dial, as host:port.
	Address string

	// Path is the path of the URL. Empty: "/".
	Path string

	// Listener is a TCP listener that another program has opened, such as systemd. Listen uses it instead of Address.
	// Closing the transport.Listener closes it.
	Listener net.Listener

	// TLS has the listener's certificate and its client CA. A client may have no certificate. With AllowOrigins
	// clients are not asked for one.
	TLS *tlsconf.Server

	// Insecure allows a listener without TLS. It opens on loopback addresses only.
	Insecure bool

	// AllowHosts are the names, with or without a port, that a Host header may have. IP addresses are always allowed,
	// and localhost is allowed over loopback.
	AllowHosts []string

	// AllowOrigins are the origins of allowed pages (scheme://host[:port], as browsers write them). Empty: no page is
	// allowed. A listener with TLS and AllowOrigins asks no client for a certificate, because Chromium ends a
	// WebSocket handshake that asks for one.
	AllowOrigins []string

	// Authenticator verifies passwords and tokens. nil: they are refused.
	Authenticator transport.Authenticator

	// TrustedProxies are the networks of proxies that report the addresses of their clients. A reported address is
	// the client's address: in Peer.Addr, for limits on wrong passwords, and in logs. A proxy must set or extend
	// X-Forwarded-For itself; otherwise a client could report any address. Of the addresses in that header, the last
	// one that is no trusted proxy counts. Empty: X-Forwarded-For is ignored.
	TrustedProxies []netip.Prefix

	// ProxyProtocol requires that each connection from a trusted proxy begins with a PROXY protocol header (version 1
	// or 2), within 5 s. Connections from other addresses must not have one. X-Forwarded-For is ignored then.
	ProxyProtocol bool

	// Identify is called before the certificate and the Authorization header are checked. It is for pages, which can
	// send cookies only. The credentials that it returns are those of the client. Without credentials and without an
	// error, the certificate and the header are checked. An error refuses the request. nil: not called.
	Identify func(*http.Request) ([]transport.Credential, error)

	// MaxFrame is the longest message in bytes that is received. 0: transport.DefaultMaxFrame for accepted conns,
	// transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may send nothing before its first message is complete. It is not used for dialed
	// conns. 0: 10 s. Negative: no limit.
	Idle time.Duration

	// FrameTimeout is how long a message may take from its first byte to its last, for accepted and dialed conns. 0:
	// 5 min. Negative: no limit.
	FrameTimeout time.Duration

	// Limits returns MaxFrame, Idle and FrameTimeout; it is called once for each accepted conn, and must not block.
	// nil: the fields of this struct are used.
	Limits func() transport.FrameLimits

	// PingInterval is how often the conn sends a ping. 0: 20 s. Negative: never.
	PingInterval time.Duration

	// PongTimeout is how long the peer may leave a ping unanswered and send nothing else; then the conn ends. Time in
	// which a message is being sent, or in which received frames wait for Receive, does not count. 0: 30 s. Negative:
	// no limit.
	PongTimeout time.Duration

	// MaxConns is how many conns a listener has at a time. 0: 1024.
	MaxConns int

	// OnRefused is called for each handshake that did not become a conn, from several goroutines at the same time.
	// nil: refusals are not reported.
	OnRefused func(transport.Refusal)

	// Client has the dialer's certificate and says which daemons it trusts. nil: dial without TLS.
	Client *tlsconf.Client

	// Credentials are the user and password, or the token, of a dialer. Without TLS they are sent to loopback
	// addresses only.
	Credentials transport.Claim

	// Origin is the Origin header of a dialer. Empty: none.
	Origin string
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// handshakeTimeout is how long a client may take from its first byte to its upgrade.
const handshakeTimeout = 5 * time.Second

func (t *Transport) path() string  { return cmp.Or(t.Path, "/") }
func (t *Transport) maxConns() int { return cmp.Or(t.MaxConns, 1024) }

func kind(secure bool) string {
	if secure {
		return "wss"
	}
	return "ws"
}

// Listen implements transport.Transport. It does not block. The error is a *net.OpError.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	h := &Handler{t: t, path: t.path()}
	l := newListener(ctx, h)
	h.listener.Store(l)
	server, err := httpauth.Listen(ctx, httpauth.Config{
		Accept: accept.Config{
			Transport: kind(t.TLS != nil), Address: t.Address, Listener: t.Listener,
			TLS: t.TLS, ClientAuth: t.clientAuth(),
			Insecure: t.Insecure, OnRefused: t.OnRefused,
			TrustedProxies: t.TrustedProxies, ProxyProtocol: t.ProxyProtocol,
		},
		Handler:       h,
		HeaderTimeout: handshakeTimeout,
		IdleTimeout:   func() time.Duration { return handshakeTimeout },
		MaxConns:      t.maxConns(),
	})
	if err != nil {
		return nil, err
	}
	l.server = server
	return l, nil
}

// clientAuth says whether clients are asked for certificates.
func (t *Transport) clientAuth() tls.ClientAuthType {
	if len(t.AllowOrigins) > 0 {
		return tls.NoClientCert
	}
	return tls.VerifyClientCertIfGiven
}

// Handler returns a Handler for another HTTP server. It does not use Address, Path, Listener, TLS, Insecure and the
// fields of dialers. TLS, timeouts and connection limits are those of that server.
func (t *Transport) Handler() *Handler { return &Handler{t: t} }

func (t *Transport) limits() transport.FrameLimits {
	return limits.Frame(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}

// A Handler is an http.Handler for the mux of a daemon, and a transport.Transport. Its requests become the conns of
// its listener. Without a listener they are answered with 503. Its methods may be called from any goroutine.
type Handler struct {
	t        *Transport
	path     string // the only path that is served; empty: all that the mux passes on
	listener atomic.Pointer[listener]
}

var (
	_ http.Handler        = (*Handler)(nil)
	_ transport.Transport = (*Handler)(nil)
)

// Listen implements transport.Transport. A Handler has one open listener at a time; the error for another one is
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

// ServeHTTP implements http.Handler. It returns when the request has become a conn or was refused.
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
	if refused := s.run(); refused != nil {
		refuse(w, refused)
	}
}

// refuse answers a request that becomes no conn, and closes its connection.
func refuse(w http.ResponseWriter, refused *httpauth.RefusedError) {
	text := http.StatusText(refused.Status)
	if refused.Status != http.StatusUnauthorized && refused.Status != http.StatusTooManyRequests { // the reason would help to guess a password
		text += ": " + refused.Error()
	}
	quoted, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\ufffd"))
	for name, values := range refused.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Connection", "close")
	if refused.Status == http.StatusUpgradeRequired {
		w.Header().Set("Connection", "upgrade, close") // RFC 9110, section 7.8
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(refused.Status)
	_, _ = fmt.Fprintf(w, `{ "result": %d, "text": %s }`, refused.Status, quoted)
}
