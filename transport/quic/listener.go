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

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Listen opens the socket. Without TLS, or when that names nobody who vouches for clients, it fails.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "quic", Addr: address(t.Address), Err: err}
	}
	return l, nil
}

// An address is one that was configured, and may be none.
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
	secrets, err := t.keys()
	if err != nil {
		return nil, err
	}
	sock, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	g := t.newGate()
	l := &listener{
		sock: sock,
		quic: &quicgo.Transport{
			Conn:                sock,
			StatelessResetKey:   &secrets.reset,
			TokenGeneratorKey:   &secrets.token,
			VerifySourceAddress: g.mustProve,
			ConnContext:         g.enter,
		},
		tls:      t.TLS,
		gate:     g,
		limits:   t.limits,
		memory:   transport.MemoryOf(ctx),
		accepted: make(chan transport.Conn),
		closed:   make(chan struct{}),
		freed:    make(chan struct{}),
		sessions: make(map[*session]struct{}),
	}
	if l.handshakes, err = l.quic.ListenEarly(tlsConfig, t.serverConfig(l.memory)); err != nil { //nolint:forbidigo // Allow0RTT is off, and complete waits for the handshake
		_ = l.quic.Close()
		_ = sock.Close()
		return nil, err
	}
	l.running.Go(l.run)
	go l.free()
	return l, nil
}

// open opens the socket, or takes the one that was passed.
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
		return nil, op.Err // Listen says the rest
	}
	return sock, err
}

// A listener hands out the streams of all its connections.
type listener struct {
	sock       net.PacketConn
	quic       *quicgo.Transport
	handshakes *quicgo.EarlyListener
	tls        *tlsconf.Server // says what a client has proven
	gate       *gate
	limits     func() transport.FrameLimits
	memory     transport.Memory

	accepted chan transport.Conn
	closed   chan struct{}
	freed    chan struct{} // closed when the socket is
	once     sync.Once
	running  sync.WaitGroup // run, and the sessions

	mu       sync.Mutex
	sessions map[*session]struct{}
}

// run takes each connection when the daemon's part of its handshake has been sent, so that a handshake which is
// never completed can be ended. Nothing is read or written before the handshake is complete, and 0-RTT is off.
func (l *listener) run() {
	for {
		conn, err := l.handshakes.Accept(context.Background())
		if err != nil {
			return
		}
		l.running.Go(func() { l.complete(conn) })
	}
}

// complete waits until the handshake of a connection is complete, and serves it then.
func (l *listener) complete(conn *quicgo.Conn) {
	a := arrivalOf(conn)
	l.gate.begun(a, conn)
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		return
	case <-l.closed:
		_ = conn.CloseWithError(connDone, "the daemon is shutting down")
		return
	}
	if l.gate.proven(a) {
		if s := l.newSession(conn); s != nil {
			s.run()
		}
	}
}

// free closes the socket after everything that needs it.
func (l *listener) free() {
	l.running.Wait()
	_ = l.quic.Close()
	_ = l.sock.Close()
	close(l.freed)
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	default:
	}
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close implements transport.Listener. Connections whose conns are all closed are given the time to
// deliver what was sent on them. When no conn is left, the address is free once Close has returned;
// otherwise when the last one and its connection are closed.
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

func (l *listener) all() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*session, 0, len(l.sessions))
	for s := range l.sessions {
		all = append(all, s)
	}
	return all
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.sock.LocalAddr() }
