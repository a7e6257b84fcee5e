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
	"github.com/rudderpost/rudderpost/transport/internal/limits"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Transport listens on, and dials, an HTTP or HTTPS address. Its methods may be called from any goroutine. It must
// not be copied, and its fields must not change after the first call.
type Transport struct {
	// Address is where to listen or which daemon to dial, as host:port.
	Address string

	// Listener is a TCP listener that another program has opened, such as systemd. Listen uses it instead of Address.
	// Closing the transport.Listener closes it.
	Listener net.Listener

	// TLS has the listener's certificate and its client CA. nil: plain HTTP, which needs Insecure.
	TLS *tlsconf.Server

	// Insecure allows a listener without TLS, on loopback addresses only. It allows a dialer to send Credentials
	// without TLS to other addresses.
	Insecure bool

	// AllowHosts are the names, with or without a port, that a Host header may have. IP addresses are always allowed,
	// and localhost is allowed over loopback.
	AllowHosts []string

	// Authenticator verifies passwords and tokens. nil: each client must have a certificate.
	Authenticator transport.Authenticator

	// TrustedProxies are the networks of proxies that report the addresses of their clients. A reported address is
	// the client's address: in Peer.Addr, for limits on wrong passwords, and in logs. A proxy must set or extend
	// X-Forwarded-For itself; otherwise a client could report any address. Of the addresses in that header, the last
	// one that is no trusted proxy counts. Empty: X-Forwarded-For is ignored.
	TrustedProxies []netip.Prefix

	// ProxyProtocol requires that each connection from a trusted proxy begins with a PROXY protocol header (version 1
	// or 2), within 5 s. Connections from other addresses must not have one. X-Forwarded-For is ignored then.
	ProxyProtocol bool

	// OnRefused is called for each request and each handshake that was refused because of its credentials, its
	// origin, its form or a timeout. It is called from several goroutines at the same time. nil: refusals are not
	// reported.
	OnRefused func(transport.Refusal)

	// Client has the dialer's certificate and says which daemons it trusts. nil: dial without TLS.
	Client *tlsconf.Client

	// Credentials are the user and password, or the token, of a dialer.
	Credentials transport.Claim

	// Path is the path of a dialer's POST. Our daemons ignore it; a proxy may use it. Empty: "/".
	Path string

	// Lines makes a dialer ask for each reply as a line that is sent at once. Without it, all replies arrive
	// together, with less work for both sides.
	Lines bool

	// MaxFrame is the longest frame in bytes that is received; for a listener it is the longest body. 0:
	// transport.DefaultMaxFrame for accepted conns, transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may take for the head of a request, and how long one read of the body may wait (Kea's
	// rule). FrameTimeout is how long the whole body may take. Neither is used for dialed conns, which have contexts.
	// 0: 10 s and 5 min. Negative: no limit.
	Idle, FrameTimeout time.Duration

	// Limits returns MaxFrame, Idle and FrameTimeout; it is called once for each request, and must not block. nil:
	// the fields of this struct are used.
	Limits func() transport.FrameLimits

	// KeepAlive is how long a listener keeps a connection open between two requests. 0: 150 s. Negative: no limit. A
	// client that polls at exactly this interval loses requests, because the listener closes the connection while a
	// request is on its way. Kea closes after 30 s, and many of its clients poll every 30 s.
	KeepAlive time.Duration

	// KeepAliveFunc is called each time a connection becomes idle, and returns KeepAlive for it. It must not block.
	// nil: KeepAlive is used.
	KeepAliveFunc func() time.Duration

	// MaxConns is how many connections a listener has at a time. One more evicts a connection that is idle. 0: 4096.
	MaxConns int

	once   sync.Once
	client *http.Transport // the dialer's connections
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// The timeouts are those of Kea. defaultMaxConns is above the manager's default limit, so that the manager can refuse a
// conn with a reply.
const (
	defaultIdle         = 10 * time.Second
	defaultFrameTimeout = 5 * time.Minute
	defaultMaxConns     = 4096
)

// noLimit is longer than any connection lasts.
const noLimit = 1 << 62

// withDefault returns the value of a field: the default for zero, and noLimit for a negative value.
func withDefault(value, usual time.Duration) time.Duration {
	if value < 0 {
		return noLimit
	}
	return cmp.Or(value, usual)
}

// Listen implements transport.Transport. It needs an Authenticator or a client CA, because clients could not prove
// anything otherwise. It does not block. The error is a *net.OpError.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	if t.Authenticator == nil && (t.TLS == nil || t.TLS.ClientCA == "") {
		return nil, &net.OpError{Op: "listen", Net: "http", Err: fmt.Errorf(
			"%s: clients could not authenticate; name users or tokens (Authenticator), or a client CA", t.Address)}
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

// kind returns the name for Peer.Transport.
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
	return withDefault(keep, httpauth.DefaultIdleTimeout)
}

func (t *Transport) limits() transport.FrameLimits {
	return limits.Frame(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
