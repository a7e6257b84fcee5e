// Package accept has the listener that all transports over TCP share. It accepts connections, reads the PROXY protocol
// header of trusted proxies, does the TLS handshake, and closes connections so that no byte that was written is lost.
package accept

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

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/proxyaddr"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Config says where and how to listen.
type Config struct {
	Transport  string             // the transport's name, for errors and refusals
	Address    string             // host:port
	Listener   net.Listener       // an open TCP listener to use instead of Address; nil: none
	TLS        *tlsconf.Server    // nil: no TLS
	ClientAuth tls.ClientAuthType // whether the TLS handshake asks for and requires a client certificate
	Protos     []string           // the protocols of the listener (ALPN, RFC 7301)
	Insecure   bool               // allow a listener without TLS, on a loopback address only

	MaxHandshakes    int                     // handshakes at the same time; one more evicts the oldest. 0: 1024
	HandshakeTimeout time.Duration           // for the PROXY protocol header and the TLS handshake together. 0: 5 s
	OnRefused        func(transport.Refusal) // called for each refused connection, from several goroutines; nil: none

	// TrustedProxies are the addresses of proxies. With ProxyProtocol each connection from one of them must
	// begin with a PROXY protocol header, within HandshakeTimeout. Other connections must not have one.
	TrustedProxies []netip.Prefix
	ProxyProtocol  bool
}

// A Listener accepts connections and completes their handshakes. The methods may be called from any goroutine.
type Listener struct {
	cfg        Config
	tcp        net.Listener
	tls        *tls.Config // nil: no TLS
	handshakes *EvictingQueue
	ready      chan *Conn
	failed     chan error // errors of tcp.Accept
	closed     chan struct{}
	once       sync.Once
	err        error          // of Close
	running    sync.WaitGroup // acceptLoop and the handshakes
}

// Listen opens a listener. Without TLS, cfg.Insecure must be set and the address must be a loopback address. An error of
// the configuration or of the address is a *net.OpError.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	if cfg.MaxHandshakes == 0 {
		cfg.MaxHandshakes = 1024
	}
	if cfg.HandshakeTimeout == 0 {
		cfg.HandshakeTimeout = 5 * time.Second
	}
	l := &Listener{
		cfg: cfg, handshakes: NewEvictingQueue(cfg.MaxHandshakes),
		ready: make(chan *Conn), failed: make(chan error), closed: make(chan struct{}),
	}
	if cfg.TLS == nil && !cfg.Insecure {
		return nil, l.listenError(errors.New("a listener without TLS needs insecure = true, and opens on a loopback address only"))
	}
	if cfg.TLS != nil {
		var err error
		if l.tls, err = cfg.TLS.Config(cfg.ClientAuth, cfg.Protos...); err != nil {
			return nil, l.listenError(err)
		}
	}
	var err error
	if l.tcp, err = openTCP(ctx, cfg); err != nil {
		return nil, err
	}
	if cfg.TLS == nil && !IsLoopback(l.tcp.Addr()) {
		_ = l.tcp.Close()
		return nil, l.listenError(fmt.Errorf("%s is not loopback, so TLS is needed there", l.tcp.Addr()))
	}
	l.running.Go(l.acceptLoop)
	return l, nil
}

// IsLoopback reports whether addr is a TCP address of the loopback interface (127.0.0.0/8, ::1).
func IsLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// listenError returns err as the error of Listen.
func (l *Listener) listenError(err error) error {
	return &net.OpError{Op: "listen", Net: l.cfg.Transport, Err: fmt.Errorf("%s: %w", l.cfg.Address, err)}
}

// openTCP returns cfg.Listener, or opens a TCP listener at cfg.Address.
func openTCP(ctx context.Context, cfg Config) (net.Listener, error) {
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

// acceptLoop accepts TCP connections until the listener is closed. A connection that needs no handshake is delivered
// from here. The others get a goroutine each.
func (l *Listener) acceptLoop() {
	for {
		c, err := l.tcp.Accept()
		if err != nil {
			select {
			case l.failed <- err: // the caller of Accept decides how long to wait before the next try
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
			l.deliver(NewConn(netfd.NewSocket(c), l.cfg.Transport))
			continue
		}
		l.running.Go(func() { l.handshake(c, proxied) })
	}
}

var errFewDescriptors = errors.New("the process has few descriptors left, and they are kept for its owner; raise its limit (LimitNOFILE, ulimit -n), or lower max-conns")

// refuseInReserve closes a connection that has one of the last descriptors of the process. It also evicts the oldest
// connection of the longest EvictingQueue, so that the client finds a free descriptor when it tries again.
func (l *Listener) refuseInReserve(c net.Conn) {
	evictOldest()
	l.refused(c.RemoteAddr(), errFewDescriptors)
	descriptors.Refuse(c)
}

// refused reports a refused connection to OnRefused.
func (l *Listener) refused(addr net.Addr, err error) {
	if l.cfg.OnRefused != nil {
		l.cfg.OnRefused(transport.Refusal{Transport: l.cfg.Transport, Addr: addr, Err: err})
	}
}

// handshake reads the PROXY protocol header if proxied is set, does the TLS handshake if there is TLS, and delivers the
// connection. It refuses the connection when one of them fails, takes longer than HandshakeTimeout, or is evicted.
func (l *Listener) handshake(tcp net.Conn, proxied bool) {
	slot := l.handshakes.NewSlot(func() { _ = tcp.Close() })
	slot.Enter()
	_ = tcp.SetDeadline(time.Now().Add(l.cfg.HandshakeTimeout))
	var remote net.Addr
	var err error
	if proxied {
		remote, err = proxyaddr.ReadHeader(tcp)
	}
	var conn *Conn
	if err == nil {
		conn, err = l.tlsHandshake(tcp)
	}
	evicted := slot.Leave() == Outside
	switch {
	case evicted && l.isClosed():
		return // Close evicts all handshakes; that is no refusal
	case evicted:
		err = errEvicted
	case err == nil:
		_ = tcp.SetDeadline(time.Time{})
		conn.remote = remote
		l.deliver(conn)
		return
	}
	if remote == nil {
		remote = tcp.RemoteAddr()
	}
	l.refused(remote, err)
	if !evicted { // an evicted connection is closed already; closeLinger would enter the queue and evict another one
		l.closeLinger(tcp)
	}
}

var (
	errEvicted         = errors.New("too many handshakes at the same time: the oldest one was closed")
	errUntrustedHeader = errors.New("the client sent a PROXY protocol header, and its address is no trusted proxy here; if it is a proxy, set proxy-protocol and add its address to trusted-proxies")
)

// tlsHandshake returns a Conn for a TCP connection. If there is TLS it does the handshake first.
func (l *Listener) tlsHandshake(tcp net.Conn) (*Conn, error) {
	if l.tls == nil {
		return NewConn(netfd.NewSocket(tcp), l.cfg.Transport), nil
	}
	secure := tls.Server(netfd.NewSocket(tcp), l.tls)
	if err := secure.HandshakeContext(context.Background()); err != nil {
		if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && proxyaddr.IsHeaderStart(record.RecordHeader) {
			err = errUntrustedHeader
		}
		return nil, err
	}
	conn := NewConn(secure, l.cfg.Transport)
	state := secure.ConnectionState()
	conn.TLS, conn.Creds = &state, l.cfg.TLS.Creds(state)
	return conn, nil
}

// closeLinger closes a connection after a failed handshake so that the client receives the TLS alert, which says what
// was wrong. If the client has sent data already, a plain close would send a reset, and the client would lose the alert.
func (l *Listener) closeLinger(c net.Conn) {
	slot := l.handshakes.NewSlot(func() { _ = c.Close() })
	slot.Enter()
	defer slot.Leave()
	defer c.Close()
	if tcp, ok := c.(*net.TCPConn); ok && !l.isClosed() && tcp.CloseWrite() == nil {
		_ = tcp.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.CopyN(io.Discard, tcp, 64<<10)
	}
}

// deliver passes a connection to Accept. It blocks until Accept takes the connection. When the listener is closed it
// closes the connection.
func (l *Listener) deliver(c *Conn) {
	select {
	case l.ready <- c:
	case <-l.closed:
		_ = c.Conn.Close()
	}
}

// Accept returns the next connection whose handshake is complete, and blocks until there is one. The error is
// net.ErrClosed when the listener is closed, and the cause of ctx when ctx has ended. Any other error is temporary: the
// caller may call Accept again.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	return ctxio.Accept(ctx, l.closed, l.ready, l.failed)
}

// Close closes the socket and all connections that were not accepted. It returns when all goroutines of the listener
// have ended. Connections that Accept has returned stay open.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.tcp.Close()
		l.handshakes.EvictAll()
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

// Addr returns the local address of the listener.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }
