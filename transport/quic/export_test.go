package quic

import (
	"context"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// LikeHTTP3 makes t speak, as far as the handshake goes, HTTP/3.
func (t *Transport) LikeHTTP3() { t.hooks.protocol, t.hooks.uniStreams = "h3", 3 }

// SetSocket makes Dial send from the sockets that open returns.
func (t *Transport) SetSocket(open func() (net.PacketConn, error)) { t.hooks.socket = open }

// SetPace makes so many handshakes a second free of Retry.
func (t *Transport) SetPace(handshakes int) { t.hooks.pace = handshakes }

// Whereabouts are the addresses that the clients of a listener have now.
func Whereabouts(l transport.Listener) []string {
	var now []string
	for _, s := range l.(*listener).all() {
		now = append(now, s.conn.RemoteAddr().String())
	}
	return now
}

// Kill ends a listener as if its process had been killed: nobody is told.
func Kill(l transport.Listener) {
	_ = l.(*listener).quic.Close()
	_ = l.(*listener).sock.Close()
}

// Sessions counts the connections of a listener.
func Sessions(l transport.Listener) int { return len(l.(*listener).all()) }

// Counted counts the connections that a listener has in its books, handshakes included.
func Counted(l transport.Listener) int {
	g := l.(*listener).gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns + len(g.sources)
}

// Links counts the connections of a client.
func Links(t *Transport) int {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	return len(t.pool.conns)
}

// HalfCloser dials conns that CloseWrite can half-close.
func HalfCloser(t *Transport) transport.Dialer { return halfCloser{t} }

type halfCloser struct{ *Transport }

type halfConn struct {
	transport.Conn
	d *dialed
}

func (h halfCloser) Dial(ctx context.Context) (transport.Conn, error) {
	c, d, err := h.dial(ctx)
	if err != nil {
		return nil, err
	}
	return halfConn{c, d}, nil
}

// CloseWrite says the last word on a conn that a HalfCloser has dialed.
func CloseWrite(c transport.Conn) error { return c.(halfConn).d.Stream.Close() }

// Source is what counts as one address.
var Source = source
