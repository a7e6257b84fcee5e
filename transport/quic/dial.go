package quic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// Dial opens a conn as a stream. It uses the connection of earlier conns if one of them is open and the daemon allows
// another stream; otherwise it makes a connection, and blocks for its handshake. Several calls share one handshake.
// When ctx ends, Dial returns its cause. The daemon sees the conn when something was sent on it. If the daemon
// refuses the client's certificate, Receive and Send return that error, because the handshake of the client is
// complete before. The error is a *net.OpError.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	c, _, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (t *Transport) dial(ctx context.Context) (*transport.Stream, *clientStream, error) {
	d, err := t.pool.open(ctx, t.connect)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &goneError{noAnswer, err}
	}
	if err != nil {
		return nil, nil, &net.OpError{Op: "dial", Net: "quic", Addr: address(t.Address), Err: err}
	}
	return d.conn(d, transport.StreamConfig{
		MaxFrame:     cmp.Or(t.MaxFrame, transport.ClientMaxFrame),
		Idle:         -1,
		FrameTimeout: t.FrameTimeout,
	}, d.client.peer), d, nil
}

// connect makes a connection to the first address of the daemon that answers.
func (t *Transport) connect(ctx context.Context) (*clientConn, error) {
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return nil, fmt.Errorf("%w; an address is a host and a port", err)
	}
	addrs, err := resolve(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, addr := range addrs {
		l, err := t.connectTo(ctx, host, addr)
		if err == nil {
			return l, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

func resolve(ctx context.Context, host, port string) ([]*net.UDPAddr, error) {
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	addrs := make([]*net.UDPAddr, len(ips))
	for i, ip := range ips {
		addrs[i] = net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(number)))
	}
	return addrs, nil
}

func (t *Transport) connectTo(ctx context.Context, host string, addr *net.UDPAddr) (*clientConn, error) {
	client := cmp.Or(t.Client, new(tlsconf.Client))
	tlsConfig, err := client.Config(host, cmp.Or(t.hooks.protocol, Protocol))
	if err != nil {
		return nil, err
	}
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	open := t.hooks.socket
	if open == nil {
		open = func() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }
		stop := probe(addr, refused)
		defer stop()
	}
	sock, err := open()
	if err != nil {
		return nil, err
	}
	l := &clientConn{sock: sock, quic: &quicgo.Transport{Conn: sock}}
	if l.conn, err = l.quic.Dial(ctx, addr, tlsConfig, clientConfig()); err != nil {
		l.freeSocket()
		return nil, explain(err)
	}
	leaf := l.conn.ConnectionState().TLS.PeerCertificates[0] // a server always has one
	l.peer = transport.Peer{
		Transport: "quic",
		Session:   transport.NewSession("quic"),
		Addr:      l.conn.RemoteAddr(),
		Creds:     []transport.Credential{tlsconf.FingerprintOf(leaf)},
	}
	return l, nil
}

// probe finds out whether the system, or a firewall, reports that no process listens at addr. QUIC's own socket is
// not connected, so it does not get that report, and a handshake would wait for seconds. probe sends one byte that is
// no QUIC packet; a daemon ignores it. The caller must call stop.
func probe(addr *net.UDPAddr, refused context.CancelCauseFunc) (stop func()) {
	sock, err := net.DialUDP("udp", nil, addr)
	if err != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := sock.Write([]byte{0})
		if err == nil {
			_, err = sock.Read(make([]byte, 1))
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused(fmt.Errorf("%w; is the daemon running, and is this its port?", syscall.ECONNREFUSED))
		}
	}()
	return func() {
		_ = sock.Close()
		<-done
	}
}
