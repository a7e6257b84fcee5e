// Package front is what the transports over TCP have in common: listening at an address, TLS with
// everybody who comes, and an end that loses nothing.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/proxyaddr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Config says where to listen, and how.
type Config struct {
	Transport  string             // the kind of transport, for errors and refusals
	Address    string             // host:port
	Listener   net.Listener       // one that was passed, instead of Address
	TLS        *tlsconf.Server    // nil: no TLS
	ClientAuth tls.ClientAuthType // whether clients must have certificates
	Protos     []string           // what is spoken (ALPN)
	Insecure   bool               // without TLS, on loopback only
	MaxWaiting int                // handshakes at a time; then the oldest gives way. 0: 1024
	Timeout    time.Duration      // of a handshake. 0: 5 s
	OnRefused  func(transport.Refusal)

	// TrustedProxies are the addresses of proxies. With ProxyProtocol each connection from one of them must
	// begin with a PROXY protocol header, within Timeout; other connections must not.
	TrustedProxies []netip.Prefix
	ProxyProtocol  bool
}

// A Listener hands out connections whose handshake is done.
type Listener struct {
	cfg     Config
	tcp     net.Listener
	tls     *tls.Config
	waiting *Waiting
	ready   chan *Conn
	failed  chan error
	closed  chan struct{}
	once    sync.Once
	err     error
	running sync.WaitGroup
}

// Listen opens the socket. Without TLS it must be Insecure and on loopback.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 1024
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	l := &Listener{
		cfg: cfg, waiting: NewWaiting(cfg.MaxWaiting),
		ready: make(chan *Conn), failed: make(chan error), closed: make(chan struct{}),
	}
	if cfg.TLS == nil && !cfg.Insecure {
		return nil, l.refuses(errors.New("without TLS it must be allowed in so many words (insecure = true), and on loopback only"))
	}
	if cfg.TLS != nil {
		var err error
		if l.tls, err = cfg.TLS.Config(cfg.ClientAuth, cfg.Protos...); err != nil {
			return nil, l.refuses(err)
		}
	}
	var err error
	if l.tcp, err = open(ctx, cfg); err != nil {
		return nil, err
	}
	if addr, ok := l.tcp.Addr().(*net.TCPAddr); cfg.TLS == nil && (!ok || !addr.IP.IsLoopback()) {
		_ = l.tcp.Close()
		return nil, l.refuses(fmt.Errorf("%s is not loopback, so TLS is needed there", l.tcp.Addr()))
	}
	l.running.Go(l.accept)
	return l, nil
}

// refuses says that a listener was not opened.
func (l *Listener) refuses(err error) error {
	return &net.OpError{Op: "listen", Net: l.cfg.Transport, Err: fmt.Errorf("%s: %w", l.cfg.Address, err)}
}

func open(ctx context.Context, cfg Config) (net.Listener, error) {
	if ctx.Err() != nil {
		return nil, &net.OpError{Op: "listen", Net: cfg.Transport, Err: context.Cause(ctx)}
	}
	if cfg.Listener != nil {
		if _, ok := cfg.Listener.Addr().(*net.TCPAddr); !ok {
			return nil, &net.OpError{Op: "listen", Net: cfg.Transport, Addr: cfg.Listener.Addr(),
				Err: fmt.Errorf("a %s listener (%T) was passed, and a TCP socket is needed", cfg.Listener.Addr().Network(), cfg.Listener)}
		}
		return cfg.Listener, nil
	}
	if cfg.Address == "" {
		return nil, &net.OpError{Op: "listen", Net: cfg.Transport, Err: errors.New("no address; write host:port")}
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", cfg.Address)
}

// accept takes connections until the listener is closed.
func (l *Listener) accept() {
	for {
		c, err := l.tcp.Accept()
		if err != nil {
			select {
			case l.failed <- err: // whoever accepts decides how long to wait before the next
				continue
			case <-l.closed:
				return
			}
		}
		if descriptors.InReserve(c) {
			l.refuseInReserve(c)
			continue
		}
		proxied := l.cfg.ProxyProtocol && proxyaddr.Trusted(l.cfg.TrustedProxies, c.RemoteAddr())
		if l.tls == nil && !proxied {
			l.hand(NewConn(newSocket(c), l.cfg.Transport))
			continue
		}
		l.running.Go(func() { l.greet(c, proxied) })
	}
}

var errFewDescriptors = errors.New("the process has few descriptors left, and they are kept for its owner; raise its limit (LimitNOFILE, ulimit -n), or lower max-conns")

// refuseInReserve closes a connection that has one of the last descriptors, and the oldest connection of any listener that
// has not proven anything yet or is silent, so that a client that tries again may find room.
func (l *Listener) refuseInReserve(c net.Conn) {
	evictOldest()
	if l.cfg.OnRefused != nil {
		l.cfg.OnRefused(transport.Refusal{Transport: l.cfg.Transport, Addr: c.RemoteAddr(), Err: errFewDescriptors})
	}
	descriptors.Refuse(c)
}

// greet reads the PROXY protocol header, if there must be one, and does the TLS handshake, if there is TLS.
func (l *Listener) greet(tcp net.Conn, proxied bool) {
	place := l.waiting.Place(func() { _ = tcp.Close() })
	place.Enter()
	_ = tcp.SetDeadline(time.Now().Add(l.cfg.Timeout))
	var remote net.Addr
	var err error
	if proxied {
		remote, err = proxyaddr.ReadHeader(tcp)
	}
	var conn *Conn
	if err == nil {
		conn, err = l.handshake(tcp)
	}
	gaveWay := !place.Leave()
	switch {
	case gaveWay && l.isClosed():
		return // no refusal: the listener was closed
	case gaveWay:
		err = errGaveWay
	case err == nil:
		_ = tcp.SetDeadline(time.Time{})
		conn.remote = remote
		l.hand(conn)
		return
	}
	if l.cfg.OnRefused != nil {
		if remote == nil {
			remote = tcp.RemoteAddr()
		}
		l.cfg.OnRefused(transport.Refusal{Transport: l.cfg.Transport, Addr: remote, Err: err})
	}
	if !gaveWay { // else it is closed already; bow would take a place, and the next handshake would lose its own
		l.bow(tcp)
	}
}

// handshake makes a Conn of a TCP connection, with a TLS handshake if there is TLS.
func (l *Listener) handshake(tcp net.Conn) (*Conn, error) {
	if l.tls == nil {
		return NewConn(newSocket(tcp), l.cfg.Transport), nil
	}
	secure := tls.Server(newSocket(tcp), l.tls)
	if err := secure.HandshakeContext(context.Background()); err != nil {
		if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok && (string(bad.RecordHeader[:]) == "PROXY" || string(bad.RecordHeader[:]) == "\r\n\r\n\x00") {
			err = errUntrustedHeader
		}
		return nil, err
	}
	conn := NewConn(secure, l.cfg.Transport)
	state := secure.ConnectionState()
	conn.TLS, conn.Creds = &state, l.cfg.TLS.Creds(state)
	return conn, nil
}

var errUntrustedHeader = errors.New("it sent a PROXY protocol header, and is no trusted proxy here; if it is one, set proxy-protocol and add its address to trusted-proxies")

var errGaveWay = errors.New("too many handshakes at a time: the oldest gave way")

// bow closes a connection so that the alert arrives, which says what was wrong: a client that has
// sent something already would otherwise see a reset instead.
func (l *Listener) bow(c net.Conn) {
	place := l.waiting.Place(func() { _ = c.Close() })
	place.Enter()
	defer place.Leave()
	defer c.Close()
	if tcp, ok := c.(*net.TCPConn); ok && !l.isClosed() && tcp.CloseWrite() == nil {
		_ = tcp.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, tcp, 64<<10)
	}
}

// hand gives a connection to whoever accepts.
func (l *Listener) hand(c *Conn) {
	select {
	case l.ready <- c:
	case <-l.closed:
		_ = c.Conn.Close()
	}
}

// Accept waits for the next connection. The error is net.ErrClosed once the listener is closed, and
// the cause of ctx once that has ended; any other error is temporary.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	if l.isClosed() {
		return nil, net.ErrClosed
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the socket and what has not been accepted. When it returns nobody is left inside.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.tcp.Close()
		l.waiting.Clear()
		l.running.Wait()
	})
	return l.err
}

func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Addr says where the listener can be reached.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }
