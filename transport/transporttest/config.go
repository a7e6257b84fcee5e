package transporttest

import (
	"context"
	"io"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// A Pair is a Transport without a listener, and the Dialer for it. Each subtest makes one, listens on it, and closes its
// listener and conns. newPair removes all else, such as files, in a Cleanup of its testing.TB.
type Pair struct {
	// Transport is the transport under test.
	Transport transport.Transport

	// Dialer opens conns to it. Its conns must receive frames of Config.MaxFrame bytes.
	Dialer transport.Dialer

	// At returns the Dialer for the address of the listener, if the system chooses its port. nil: Dialer is used.
	At func(net.Addr) transport.Dialer
}

// Config lists the optional features of a transport. The zero value is for a transport without any.
type Config struct {
	// MaxFrame is the length of the longest frame that the transports of the pairs receive, in bytes. 0:
	// transport.DefaultMaxFrame. With 1 MiB the suite is faster and as thorough.
	MaxFrame int

	// Kind is Peer.Transport on both sides. Empty: it is not checked.
	Kind string

	// Subjects are those of the credentials of an accepted conn, and ListenerSubjects those of a dialed conn, in order.
	Subjects         []string
	ListenerSubjects []string

	// HalfClose closes the writing half of a dialed conn, which can still receive. nil: the transport has no half-close.
	HalfClose func(transport.Conn) error

	// Departs: after the peer has closed its conn, the Context ends when Receive returns its error. If false, it ends when
	// a Send fails.
	Departs bool

	// Raw opens a connection to l on which the suite writes the bytes of frames itself, in pieces and with comments
	// between them, and reads replies, one a line. If the result has a method CloseWrite() error, the suite also closes
	// the writing half in the middle of a frame. nil: the transport sends frames as messages.
	Raw func(ctx context.Context, p Pair, l transport.Listener) (io.ReadWriteCloser, error)

	// Silent connects to l and sends nothing: for example a TCP connection without a TLS handshake. nil: the suite uses
	// Dial.
	Silent func(ctx context.Context, p Pair, l transport.Listener) (io.Closer, error)

	// Mute: after a *transport.FrameError the conn cannot send either, because the protocol has its own error
	// (WebSocket's close code 1009).
	Mute bool

	// OneShot: a conn carries one frame and the replies to it, as an HTTP request does. The listener accepts it when the
	// frame was sent. Receive of the listener returns io.EOF after it.
	OneShot bool
}
