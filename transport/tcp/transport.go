package tcp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Protocol is the name of what is spoken, for TLS (ALPN, RFC 7301). A client that names nothing is
// welcome too; one that names something else is refused.
const Protocol = "rudderpost/1"

// Transport is a TCP address at which a daemon can be reached, with TLS unless Insecure. It is a
// transport.Dialer too. Its methods may be called at any time, from any goroutine.
type Transport struct {
	// Address is where to listen, or whom to dial: host:port.
	Address string

	// Listener is a TCP socket that somebody else has opened, such as systemd. It is listened on
	// instead of Address, and belongs to the transport.Listener from then on.
	Listener net.Listener

	// TLS is the listener's identity and whose certificates it believes. Every client must have one.
	TLS *tlsconf.Server

	// Client is the dialer's identity and which daemons it believes. nil: it dials without TLS.
	Client *tlsconf.Client

	// Insecure permits a listener without TLS. It opens on loopback only.
	Insecure bool

	// Anonymous is what the peers of a listener without TLS are, since they can prove nothing: each
	// gets the credential Anonymous with this name. Without TLS it must be set.
	Anonymous string

	// MaxFrame is the longest frame in bytes that is received.
	// 0: transport.DefaultMaxFrame on listeners, transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a peer may be silent before its first frame is whole; dialed conns have no
	// such limit. 0: 10 s. Negative: for ever.
	Idle time.Duration

	// FrameTimeout is how long a frame may take from its first byte to its last, on dialed conns
	// too. 0: 5 min. Negative: for ever.
	FrameTimeout time.Duration

	// Limits, if it is set, says MaxFrame, Idle and FrameTimeout for each conn of a listener anew, instead
	// of these fields.
	Limits func() transport.FrameLimits

	// TrustedProxies are the networks of proxies that report the addresses of their clients. Without
	// ProxyProtocol they do not matter.
	TrustedProxies []netip.Prefix

	// ProxyProtocol is set when the trusted proxies send a PROXY protocol header (version 1 or 2) before the
	// first byte of each connection, within 5 s. A connection from another address is served without one.
	// The address that is reported counts as the client's: in Peer.Addr, and in logs.
	ProxyProtocol bool

	// OnRefused is told of each handshake that did not become a conn, on a goroutine of its own.
	// nil: nobody is.
	OnRefused func(transport.Refusal)
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// Anonymous is the credential of a peer that can prove nothing, at a listener that takes it for what
// it is told to.
type Anonymous string

// Subject implements transport.Credential: "anonymous:monitor".
func (a Anonymous) Subject() string { return "anonymous:" + string(a) }

// Listen implements transport.Transport. The error is a *net.OpError.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	if t.TLS == nil && t.Anonymous == "" {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: fmt.Errorf(
			"%s: without TLS nobody can prove anything; use TLS, or say what its peers may pass for (anonymous = \"ROLE\")", t.Address)}
	}
	l, err := accept.Listen(ctx, accept.Config{
		Transport: t.kind(t.TLS != nil), Address: t.Address, Listener: t.Listener,
		TLS: t.TLS, ClientAuth: tls.RequireAndVerifyClientCert, Protos: []string{Protocol},
		Insecure: t.Insecure, OnRefused: t.OnRefused,
		TrustedProxies: t.TrustedProxies, ProxyProtocol: t.ProxyProtocol,
	})
	if err != nil {
		return nil, err
	}
	return &listener{Listener: l, t: t, memory: transport.MemoryOf(ctx)}, nil
}

func (t *Transport) kind(secure bool) string {
	if secure {
		return "tls"
	}
	return "tcp"
}

type listener struct {
	*accept.Listener
	t      *Transport
	memory transport.Memory
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	for {
		c, err := l.Listener.Accept(ctx)
		if err != nil {
			return nil, err
		}
		if l.t.TLS == nil {
			c.Creds = []transport.Credential{Anonymous(l.t.Anonymous)}
		}
		if len(c.Creds) > 0 {
			limits := l.t.limits()
			cfg := transport.StreamConfig{MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: limits.FrameTimeout, Memory: l.memory}
			if c.TLS != nil && c.TLS.ServerName != "" {
				cfg.Peer.Target = &transport.Target{Host: c.TLS.ServerName}
			}
			return l.t.conn(c, cfg), nil
		}
		if l.t.OnRefused != nil {
			l.t.OnRefused(transport.Refusal{Transport: "tls", Addr: c.RemoteAddr(), Err: transport.ErrNoCredentials})
		}
		_ = c.Close()
	}
}

func (t *Transport) conn(c *accept.Conn, cfg transport.StreamConfig) *transport.Stream {
	cfg.Peer = transport.Peer{
		Transport: t.kind(c.TLS != nil),
		Session:   c.Session,
		Addr:      c.RemoteAddr(),
		Creds:     c.Creds,
		Target:    cfg.Peer.Target,
	}
	if c.TLS == nil {
		return transport.NewStream(accept.PlainConn{Conn: c}, cfg)
	}
	return transport.NewStream(c, cfg)
}

// Dial implements transport.Dialer. The error is a *net.OpError; with TLS a *tlsconf.VerifyError may
// be in it.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return t.conn(c, transport.StreamConfig{MaxFrame: cmp.Or(t.MaxFrame, transport.ClientMaxFrame), Idle: -1, FrameTimeout: t.FrameTimeout}), nil
}

func (t *Transport) connect(ctx context.Context) (*accept.Conn, error) {
	if ctx.Err() != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
	}
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	var d net.Dialer
	tcp, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	if t.Client == nil {
		return accept.NewConn(tcp, "tcp"), nil
	}
	secure, err := t.greet(ctx, tcp, host)
	if err != nil {
		_ = tcp.Close()
		return nil, &net.OpError{Op: "dial", Net: "tls", Addr: tcp.RemoteAddr(), Err: err}
	}
	c := accept.NewConn(secure, "tls")
	state := secure.ConnectionState()
	c.TLS, c.Creds = &state, []transport.Credential{tlsconf.FingerprintOf(state.PeerCertificates[0])}
	return c, nil
}

// greet does the TLS handshake with a daemon.
func (t *Transport) greet(ctx context.Context, tcp net.Conn, host string) (*tls.Conn, error) {
	config, err := t.Client.Config(host, Protocol)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(tcp, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			err = fmt.Errorf("the daemon does not speak TLS there; is it tcp://%s? %w", t.Address, err)
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return secure, nil
}

func (t *Transport) limits() transport.FrameLimits {
	return transport.FrameLimitsOf(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
