package http

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Transport is an HTTP or HTTPS address at which a daemon can be reached. It is a transport.Dialer
// too. Its methods may be called at any time, from any goroutine; it must not be copied once used.
type Transport struct {
	// Address is where to listen, or whom to dial: host:port.
	Address string

	// Listener is a TCP socket that somebody else has opened, such as systemd. It is listened on
	// instead of Address, and belongs to the transport.Listener from then on.
	Listener net.Listener

	// TLS is the listener's identity and whose certificates it believes. nil: plain HTTP, which
	// needs Insecure.
	TLS *tlsconf.Server

	// Insecure permits a listener without TLS, which opens on loopback only; and a dialer to send
	// Credentials without TLS to somewhere else.
	Insecure bool

	// AllowHosts are the names, with or without a port, that a request may say it is meant for.
	// Addresses are always allowed, localhost where the request came by loopback.
	AllowHosts []string

	// Authenticator verifies Basic and Bearer. nil: clients prove who they are by certificate.
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

	// OnRefused is told of each request and handshake that did not become a conn for reasons of
	// identity or origin, or because it came too slowly. nil: nobody is.
	OnRefused func(transport.Refusal)

	// Client is the dialer's identity and which daemons it believes. nil: it dials without TLS.
	Client *tlsconf.Client

	// Credentials are what the dialer says of itself: a user with a password, or a token.
	Credentials transport.Claim

	// Path is what the dialer's POST names. A daemon does not care; something in front of it may.
	// Empty: "/".
	Path string

	// Lines makes the dialer ask for each reply as soon as there is one, as a line of its own. Without
	// it they come together, when the last one is there, which is less work for both sides.
	Lines bool

	// MaxFrame is the longest frame in bytes that is received, for a listener the longest body.
	// 0: transport.DefaultMaxFrame on listeners, transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may take for the head of a request, and how long it may be silent
	// inside a body, where each read restarts it (Kea's rule). FrameTimeout is how long a whole body
	// may take. Neither is for dialed conns: their contexts bound them. 0: 10 s, 5 min. Negative: for
	// ever.
	Idle, FrameTimeout time.Duration

	// Limits, if it is set, says MaxFrame, Idle and FrameTimeout for each conn of a listener anew, instead
	// of these fields.
	Limits func() transport.FrameLimits

	// KeepAlive is how long a listener keeps a connection open on which no request comes. 0: 150 s. Negative:
	// for ever. A client that polls at exactly this interval loses requests: the listener closes the connection
	// while the request is on its way. Kea closes after 30 s, and many of its clients poll every 30 s.
	KeepAlive time.Duration

	// KeepAliveFunc, if it is set, is called each time a connection becomes idle, and returns KeepAlive for
	// it instead of that field. It must not block.
	KeepAliveFunc func() time.Duration

	// MaxConns is how many connections a listener has at a time. One more takes the place of one
	// that is silent. 0: 4096.
	MaxConns int

	once   sync.Once
	client *http.Transport // the dialer's connections
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// Kea's times, and a number that leaves room for the manager's own limit to speak.
const (
	defaultIdle         = 10 * time.Second
	defaultFrameTimeout = 5 * time.Minute
	defaultMaxConns     = 4096
)

// forever is longer than any connection lives.
const forever = 1 << 62

// limit is a field of a Transport: zero is the usual value, negative none at all.
func limit(value, usual time.Duration) time.Duration {
	if value < 0 {
		return forever
	}
	return cmp.Or(value, usual)
}

// Listen implements transport.Transport. The error is a *net.OpError when nobody could prove
// anything at this listener.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	if t.Authenticator == nil && (t.TLS == nil || t.TLS.ClientCA == "") {
		return nil, &net.OpError{Op: "listen", Net: "http", Err: fmt.Errorf(
			"%s: nobody could prove who they are; name users or tokens (Authenticator), or whose client certificates to believe", t.Address)}
	}
	auth := tls.RequireAndVerifyClientCert
	if t.Authenticator != nil {
		auth = tls.VerifyClientCertIfGiven
	}
	l := newListener(ctx, t)
	server, err := httpauth.Listen(ctx, httpauth.Config{
		Accept: accept.Config{
			Transport: l.kind, Address: t.Address, Listener: t.Listener,
			TLS: t.TLS, ClientAuth: auth, Insecure: t.Insecure, OnRefused: t.OnRefused,
			TrustedProxies: t.TrustedProxies, ProxyProtocol: t.ProxyProtocol,
		},
		Handler:       http.HandlerFunc(l.serve),
		HeaderTimeout: l.limits().Idle,
		IdleTimeout:   t.keepAlive,
		MaxConns:      cmp.Or(t.MaxConns, defaultMaxConns),
	})
	if err != nil {
		return nil, err
	}
	l.server = server
	return l, nil
}

// kind is what Peer.Transport says.
func kind(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

func (t *Transport) keepAlive() time.Duration {
	keep := t.KeepAlive
	if t.KeepAliveFunc != nil {
		keep = t.KeepAliveFunc()
	}
	return limit(keep, httpauth.DefaultIdleTimeout)
}

func (t *Transport) limits() transport.FrameLimits {
	return transport.FrameLimitsOf(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
