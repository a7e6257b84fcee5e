package websocket

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Subprotocol is the name of what is spoken (RFC 6455, section 1.9). A client that names subprotocols
// must name it, and a page must name it; any other client may leave it out.
const Subprotocol = "rudderpost.v1"

// Transport is a WebSocket address at which a daemon can be reached: wss with TLS, ws without. It is
// a transport.Dialer too. Its methods may be called at any time, from any goroutine.
type Transport struct {
	// Address is where to listen, or whom to dial: host:port.
	Address string

	// Path is that of the URL. Empty: "/".
	Path string

	// Listener is a TCP socket that somebody else has opened, such as systemd. It is listened on
	// instead of Address, and belongs to the transport.Listener from then on.
	Listener net.Listener

	// TLS is the listener's identity and whose certificates it believes. A client need not have one,
	// and is not asked where pages may come (AllowOrigins).
	TLS *tlsconf.Server

	// Insecure permits a listener without TLS. It opens on loopback only.
	Insecure bool

	// AllowHosts are the names, with or without a port, that clients may call the daemon by, apart
	// from addresses, and from localhost on loopback.
	AllowHosts []string

	// AllowOrigins are the origins (scheme://host[:port], as browsers write them) of pages that may
	// speak to the daemon. Empty: no page may. A listener with TLS that has any asks nobody for a
	// certificate: Chromium gives up a WebSocket where it is asked for one.
	AllowOrigins []string

	// Authenticator verifies what clients claim. nil: nothing that is claimed is true.
	Authenticator transport.Authenticator

	// TrustedProxies are the networks of proxies that report the addresses of their clients. An address
	// that is reported counts as the client's: in Peer.Addr, for the slowing down of guessers, and in logs. A
	// proxy must set or extend X-Forwarded-For itself, or a client could report an address of its own choice.
	// Of the addresses in that header the last one counts that is no trusted proxy. Empty: no proxy is believed.
	TrustedProxies []netip.Prefix

	// ProxyProtocol is set when the trusted proxies send a PROXY protocol header (version 1 or 2) before the
	// first byte of each connection, within 5 s. A connection from another address is served without one.
	// Then X-Forwarded-For is not read.
	ProxyProtocol bool

	// Identify is asked before the certificate and the Authorization header are looked at: a page can
	// send neither, but a cookie. What it returns is proven; nothing and no error leaves the question
	// to them; an error refuses. nil: nobody is asked.
	Identify func(*http.Request) ([]transport.Credential, error)

	// MaxFrame is the longest message in bytes that is received.
	// 0: transport.DefaultMaxFrame on listeners, transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may be silent before its first message is whole; dialed conns have
	// no such limit. 0: 10 s. Negative: for ever.
	Idle time.Duration

	// FrameTimeout is how long a message may take from its first byte to its last, on dialed conns
	// too. 0: 5 min. Negative: for ever.
	FrameTimeout time.Duration

	// Limits, if it is set, says MaxFrame, Idle and FrameTimeout for each conn of a listener anew, instead
	// of these fields.
	Limits func() transport.FrameLimits

	// PingInterval is how often the peer is asked whether it is there. 0: 20 s. Negative: never.
	PingInterval time.Duration

	// PongTimeout is how long it may leave that unanswered, and say nothing else, before it counts as
	// gone. While it is being sent something, and while nobody takes what it has sent, it is not
	// held against it. 0: 30 s.
	PongTimeout time.Duration

	// MaxConns is how many conns a listener has at a time. 0: 1024.
	MaxConns int

	// OnRefused is told of each handshake that did not become a conn, on a goroutine of its own.
	// nil: nobody is.
	OnRefused func(transport.Refusal)

	// Client is the dialer's identity and which daemons it believes. nil: it dials without TLS.
	Client *tlsconf.Client

	// Credentials are what a dialer claims. Without TLS they are sent to loopback only.
	Credentials transport.Claim

	// Origin is the page that a dialer says it is. Empty: none.
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

// Listen implements transport.Transport. The error is a *net.OpError.
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

// Handler returns the same place for a server that exists already. Address, Path, Listener, TLS,
// Insecure and what is for dialing do not matter to it: TLS, time limits and who else may connect are
// that server's affair.
func (t *Transport) Handler() *Handler { return &Handler{t: t} }

func (t *Transport) limits() transport.FrameLimits {
	return transport.FrameLimitsOf(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
