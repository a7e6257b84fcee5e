package tcp

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/limits"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Protocol is the name of this protocol in the TLS handshake (ALPN, RFC 7301). A client that names no protocol is
// accepted; a client that names only other protocols is refused.
const Protocol = "rudderpost/1"

// Transport listens on, and dials, a TCP address. It uses TLS unless Insecure is set (listener) or Client is nil
// (dialer). Its methods may be called from any goroutine. The fields must not change after the first call.
type Transport struct {
	// Address is where to listen or which daemon to dial, as host:port.
	Address string

	// Listener is a TCP listener that another program has opened, such as systemd. Listen uses it instead of Address.
	// Closing the transport.Listener closes it.
	Listener net.Listener

	// TLS has the listener's certificate and its client CA. Each client must have a certificate of that CA. nil: no
	// TLS, which needs Insecure and Anonymous.
	TLS *tlsconf.Server

	// Client has the dialer's certificate and says which daemons it trusts. nil: dial without TLS.
	Client *tlsconf.Client

	// Insecure allows a listener without TLS. It opens on loopback addresses only.
	Insecure bool

	// Anonymous is the name of the credential that each peer of a listener without TLS gets, because such a peer can
	// prove nothing. It must be set without TLS, and is not used with TLS.
	Anonymous string

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for accepted conns,
	// transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may send nothing before its first frame is complete. It is not used for dialed conns.
	// 0: 10 s. Negative: no limit.
	Idle time.Duration

	// FrameTimeout is how long a frame may take from its first byte to its last, for accepted and dialed conns. 0: 5
	// min. Negative: no limit.
	FrameTimeout time.Duration

	// Limits returns MaxFrame, Idle and FrameTimeout; it is called once for each accepted conn, and must not block.
	// nil: the fields of this struct are used.
	Limits func() transport.FrameLimits

	// TrustedProxies are the networks of proxies that report the addresses of their clients. They are used with
	// ProxyProtocol only.
	TrustedProxies []netip.Prefix

	// ProxyProtocol requires that each connection from a trusted proxy begins with a PROXY protocol header (version 1
	// or 2), within 5 s. The address in the header is then the client's address, in Peer.Addr and in logs.
	// Connections from other addresses must not have a header.
	ProxyProtocol bool

	// OnRefused is called for each connection that did not become a conn, from several goroutines at the same time.
	// nil: refusals are not reported.
	OnRefused func(transport.Refusal)
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// Anonymous is the credential of a peer of a listener without TLS. Its value is Transport.Anonymous.
type Anonymous string

// Subject implements transport.Credential: "anonymous:monitor".
func (a Anonymous) Subject() string { return "anonymous:" + string(a) }

// Listen implements transport.Transport. It does not block. The error is a *net.OpError.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	if t.TLS == nil && t.Anonymous == "" {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: fmt.Errorf(
			"%s: without TLS a client cannot prove its identity; use TLS, or name the role that all clients get (anonymous = \"ROLE\")", t.Address)}
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

// A listener makes conns of the connections that accept.Listener accepts.
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

// conn makes a conn of a connection. cfg.Peer has only the Target.
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

// Dial implements transport.Dialer. It blocks for the TCP and TLS handshakes; when ctx ends before, it returns the
// cause of ctx. The error is a *net.OpError, and with TLS it may wrap a *tlsconf.VerifyError. If the daemon refuses
// the client's certificate, the conn's Receive and Send return that error (TLS 1.3).
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return t.conn(c, transport.StreamConfig{MaxFrame: cmp.Or(t.MaxFrame, transport.ClientMaxFrame), Idle: -1, FrameTimeout: t.FrameTimeout}), nil
}

// connect returns a connection to the daemon whose TLS handshake is complete.
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
	c, err := accept.NewClientConn(ctx, tcp, t.Client, host, Protocol, "tls", "tcp://"+t.Address)
	if err != nil {
		_ = tcp.Close()
		return nil, &net.OpError{Op: "dial", Net: "tls", Addr: tcp.RemoteAddr(), Err: err}
	}
	return c, nil
}

func (t *Transport) limits() transport.FrameLimits {
	return limits.Frame(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
