package quic

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Listen opens the socket. It needs TLS with a client CA. It does not block. The error is a *net.OpError.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "quic", Addr: address(t.Address), Err: err}
	}
	return l, nil
}

// An address is the net.Addr of Transport.Address, as it was given.
type address string

func (a address) Network() string { return "udp" }
func (a address) String() string  { return string(a) }

func (t *Transport) listen(ctx context.Context) (*listener, error) {
	if t.TLS == nil {
		return nil, errors.New("there is no certificate: QUIC needs TLS")
	}
	tlsConfig, err := t.TLS.Config(tls.RequireAndVerifyClientCert, cmp.Or(t.hooks.protocol, Protocol))
	if err != nil {
		return nil, err
	}
	keyPair, err := t.keys()
	if err != nil {
		return nil, err
	}
	sock, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	g := t.newConnLimiter()
	l := &listener{
		sock: sock,
		quic: &quicgo.Transport{
			Conn:                sock,
			StatelessResetKey:   &keyPair.reset,
			TokenGeneratorKey:   &keyPair.token,
			VerifySourceAddress: g.needsRetry,
			ConnContext:         g.addConn,
		},
		tls:         t.TLS,
		limiter:     g,
		limits:      t.limits,
		memory:      transport.MemoryOf(ctx),
		accepted:    make(chan transport.Conn),
		closed:      make(chan struct{}),
		freed:       make(chan struct{}),
		serverConns: make(map[*serverConn]struct{}),
	}
	if l.handshakes, err = l.quic.ListenEarly(tlsConfig, t.serverConfig(l.memory)); err != nil { //nolint:forbidigo // Allow0RTT is off, and complete waits for the handshake
		_ = l.quic.Close()
		_ = sock.Close()
		return nil, err
	}
	l.running.Go(l.run)
	go l.freeSocket()
	return l, nil
}

// open opens the UDP socket, or returns the one that was passed.
func (t *Transport) open(ctx context.Context) (net.PacketConn, error) {
	if t.PacketConn != nil {
		addr := t.PacketConn.LocalAddr()
		if _, ok := addr.(*net.UDPAddr); !ok {
			return nil, fmt.Errorf("a %s socket (%T) was passed; QUIC needs UDP", addr.Network(), t.PacketConn)
		}
		return t.PacketConn, nil
	}
	sock, err := new(net.ListenConfig).ListenPacket(ctx, "udp", t.Address)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return nil, op.Err // Listen adds the operation and the address
	}
	return sock, err
}

// A listener accepts the streams of all its connections.
type listener struct {
	sock       net.PacketConn
	quic       *quicgo.Transport
	handshakes *quicgo.EarlyListener
	tls        *tlsconf.Server // makes the credentials of clients
	limiter    *connLimiter
	limits     func() transport.FrameLimits
	memory     transport.Memory

	accepted chan transport.Conn
	closed   chan struct{}
	freed    chan struct{} // closed when the socket was closed
	once     sync.Once
	running  sync.WaitGroup // run, and the connections

	mu          sync.Mutex
	serverConns map[*serverConn]struct{}
}

// run accepts each connection when the daemon has sent its part of the handshake, so that a handshake that the client
// never completes can be evicted. Nothing is read or written before the handshake is complete, and 0-RTT is off.
func (l *listener) run() {
	for {
		conn, err := l.handshakes.Accept(context.Background())
		if err != nil {
			return
		}
		l.running.Go(func() { l.complete(conn) })
	}
}

// complete waits until the handshake of a connection is complete, and then serves the connection.
func (l *listener) complete(conn *quicgo.Conn) {
	r := recordOf(conn)
	l.limiter.handshakeStarted(r, func() { _ = conn.CloseWithError(connBusy, errEvicted.Error()) })
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		return
	case <-l.closed:
		_ = conn.CloseWithError(connDone, "the daemon is shutting down")
		return
	}
	if l.limiter.handshakeDone(r) != evicted {
		if s := l.newServerConn(conn); s != nil {
			s.run()
		}
	}
}

// freeSocket closes the socket when all connections have ended.
func (l *listener) freeSocket() {
	l.running.Wait()
	_ = l.quic.Close()
	_ = l.sock.Close()
	close(l.freed)
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	return ctxio.Accept(ctx, l.closed, l.accepted, nil)
}

// Close implements transport.Listener. A connection whose conns are all closed gets time for its last bytes, at most
// two seconds. When no conn is open, the address is free when Close returns; otherwise it is free when the last
// connection is closed.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		_ = l.handshakes.Close()
	})
	var lingering sync.WaitGroup
	for _, s := range l.all() {
		lingering.Go(s.drain)
	}
	lingering.Wait()
	if len(l.all()) == 0 {
		<-l.freed
	}
	return nil
}

func (l *listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *listener) all() []*serverConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*serverConn, 0, len(l.serverConns))
	for s := range l.serverConns {
		all = append(all, s)
	}
	return all
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.sock.LocalAddr() }
