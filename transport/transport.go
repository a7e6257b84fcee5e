package transport

import (
	"context"
	"errors"
	"net"
)

// A Transport is one address at which a daemon can be reached. It is usually a pointer to a struct whose exported fields
// are the configuration.
type Transport interface {
	// Listen opens the control socket. ctx bounds the opening, and not the life of the Listener. It also carries values
	// for the listener, see WithMemory.
	Listen(ctx context.Context) (Listener, error)
}

// A Dialer opens conns to such an address. The transports of this module are Dialers too.
type Dialer interface {
	// Dial opens a conn. ctx bounds the opening, and not the life of the Conn. Dial does not wait for Accept of the
	// listener. Several goroutines may call it at the same time.
	Dial(ctx context.Context) (Conn, error)
}

// A Listener accepts conns whose peers have been identified. Several goroutines may use it at the same time.
type Listener interface {
	// Accept blocks until there is a conn. A peer that is slow to identify itself delays only itself. The error is
	// net.ErrClosed when the listener is closed, and the cause of ctx when ctx has ended. Any other error is temporary,
	// and the caller may call Accept again. The caller must close the Conn.
	Accept(ctx context.Context) (Conn, error)

	// Close closes the control socket: no peer can connect any more, conns that were not accepted are closed, and a
	// blocked Accept returns. Accepted conns stay open. It may be called at any time and any number of times.
	Close() error

	// Addr returns the address of the listener, with the port that the system has chosen.
	Addr() net.Addr
}

// A OneFrameConn is a dialed conn that carries one frame and the replies to it, as over HTTP. For a second frame Send
// sends nothing and returns ErrOneFrame. Package client uses it, to tell its caller to dial again.
type OneFrameConn interface {
	Conn

	// OneFrame does nothing. It marks such a conn.
	OneFrame()
}

// ErrOneFrame is the error of a second frame on a OneFrameConn.
var ErrOneFrame = errors.New("an HTTP conn carries one command; dial again for the next one, as client.Do does, or use unix, tls, websocket or quic")

// A Conn carries frames in both directions, in order. One goroutine may call Receive and another one Send at the same
// time. Context, Close and Peer may be called by any goroutine at any time.
type Conn interface {
	// Context ends, with a cause, when the peer cannot read any more: it closed its conn, or this conn was closed. It
	// goes on when the peer has only closed its writing half: then Receive returns io.EOF and Send works.
	Context() context.Context

	// Receive blocks until a complete frame has come, appends it to dst and returns the result, which belongs to the
	// caller. The error is io.EOF when the peer has closed its writing half, *FrameError when the bytes cannot become a
	// frame, and net.ErrClosed after Close. After each of these no frame follows, but Send still works, except after
	// Close.
	//
	// When ctx ends, Receive returns its cause and loses nothing: it may be called again. A frame that the conn already
	// has is returned also then. So Receive with a context that has ended tells, without waiting and without a system
	// call, whether another frame came with the last one.
	Receive(ctx context.Context, dst []byte) ([]byte, error)

	// Send writes frames in order, with one system call if possible. It blocks while the peer does not read, until ctx
	// ends. The frames belong to the caller again when it has returned. After an error the conn cannot send any more,
	// because part of a frame may have been written; except when ctx had ended before the call.
	Send(ctx context.Context, frames ...[]byte) error

	// Close unblocks Receive and Send, and ends Context. The frames of a Send that has returned are delivered first, if
	// the peer reads them. It may be called any number of times. After it Receive and Send return net.ErrClosed.
	Close() error

	// Peer returns the identity of the peer, which does not change.
	Peer() Peer
}
