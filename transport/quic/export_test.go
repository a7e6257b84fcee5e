package quic

import (
	"context"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// LikeHTTP3 makes the handshake of t that of HTTP/3.
func (t *Transport) LikeHTTP3() { t.hooks.protocol, t.hooks.uniStreams = "h3", 3 }

// SetSocket makes Dial send from the sockets that open returns.
func (t *Transport) SetSocket(open func() (net.PacketConn, error)) { t.hooks.socket = open }

// SetPace sets how many handshakes a second need no Retry.
func (t *Transport) SetPace(handshakes int) { t.hooks.pace = handshakes }

// Whereabouts returns the present addresses of a listener's clients.
func Whereabouts(l transport.Listener) []string {
	var now []string
	for _, s := range l.(*listener).all() {
		now = append(now, s.conn.RemoteAddr().String())
	}
	return now
}

// Kill ends a listener as if its process had been killed: no peer is told.
func Kill(l transport.Listener) {
	_ = l.(*listener).quic.Close()
	_ = l.(*listener).sock.Close()
}

// Sessions returns the number of a listener's connections.
func Sessions(l transport.Listener) int { return len(l.(*listener).all()) }

// Counted returns the number of connections and sources that a listener counts, with those in a handshake.
func Counted(l transport.Listener) int {
	g := l.(*listener).limiter
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns + len(g.sources)
}

// Links returns the number of a client's connections.
func Links(t *Transport) int {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	return len(t.pool.conns)
}

// HalfCloser returns a dialer of conns whose writing half CloseWrite can close.
func HalfCloser(t *Transport) transport.Dialer { return halfCloser{t} }

type halfCloser struct{ *Transport }

type halfConn struct {
	transport.Conn
	d *clientStream
}

func (h halfCloser) Dial(ctx context.Context) (transport.Conn, error) {
	c, d, err := h.dial(ctx)
	if err != nil {
		return nil, err
	}
	return halfConn{c, d}, nil
}

// CloseWrite closes the writing half of a conn that a HalfCloser has dialed.
func CloseWrite(c transport.Conn) error { return c.(halfConn).d.Stream.Close() }

// Source is sourceOf.
var Source = sourceOf
