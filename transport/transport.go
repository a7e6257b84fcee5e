package transport

import (
	"context"
	"errors"
	"net"
)

// A Transport is one place at which a daemon can be reached. Its concrete type is a struct whose
// exported fields say which.
type Transport interface {
	// Listen opens the control socket. ctx bounds the opening, not the life of the Listener.
	Listen(ctx context.Context) (Listener, error)
}

// A Dialer reaches such a place from the other side. Our transports are both.
type Dialer interface {
	// Dial opens a conn. ctx bounds the opening, not the life of the Conn. It returns without waiting
	// for the listener's Accept.
	Dial(ctx context.Context) (Conn, error)
}

// A Listener hands out conns whose peers have been identified.
type Listener interface {
	// Accept waits for the next conn. A peer that is slow to say who it is delays only itself. The
	// error is net.ErrClosed once the listener is closed, and the cause of ctx once that has ended;
	// any other error is temporary.
	Accept(ctx context.Context) (Conn, error)

	// Close closes the control socket: no peer can connect any more, conns that nobody accepted are
	// closed, and a waiting Accept returns. Conns handed out live on. It may be called at any time
	// and any number of times.
	Close() error

	// Addr says where the listener can be reached.
	Addr() net.Addr
}

// A OneFrameConn is a dialed conn that carries one frame and the replies to it, as over HTTP. For a second frame Send
// sends nothing, and returns ErrOneFrame.
type OneFrameConn interface {
	Conn

	// OneFrame does nothing. It tells such a conn from others.
	OneFrame()
}

// ErrOneFrame is the error of a second frame on a OneFrameConn.
var ErrOneFrame = errors.New("an HTTP conn carries one command; dial again for the next one, as client.Do does, or use unix, tls, websocket or quic")

// A Conn is one conversation: frames, in both directions, in order. One Receive and one Send may
// overlap, two of either may not. Context, Close and Peer may be called at any time.
type Conn interface {
	// Context ends, with a cause, when the peer cannot hear us any more: it left, or the conn was
	// closed. A peer that has only said its last word is still there: that is io.EOF from Receive.
	Context() context.Context

	// Receive appends one whole frame to dst and returns it; the bytes are the caller's. The error
	// is io.EOF when the peer will say no more, *FrameError when what it said cannot become a frame,
	// net.ErrClosed after Close. Each of these ends receiving, not sending.
	//
	// When ctx ends Receive returns its cause, and nothing is lost: it may be called again. A frame
	// that the conn holds already is returned even so; a Receive whose ctx has ended is therefore a
	// way to ask, without waiting and without a system call, whether more came with the last one.
	Receive(ctx context.Context, dst []byte) ([]byte, error)

	// Send sends frames in order, with one write where the wire can. It waits for a slow peer. When
	// it has returned the frames are the caller's again; when it has failed the conn is of no more
	// use for sending, since part of a frame may have gone out.
	Send(ctx context.Context, frames ...[]byte) error

	// Close unblocks Receive and Send, and ends Context. It may be called any number of times;
	// afterwards Receive and Send return net.ErrClosed. What Send has taken is delivered first, as
	// far as the peer listens.
	Close() error

	// Peer says who is at the other end.
	Peer() Peer
}
