package transporttest

import (
	"context"
	"io"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// A Pair is a fresh place, which nobody listens on yet, and the way to reach it. Each subtest asks
// for one, listens on it, and closes what it has opened; what else the place holds is removed with
// the Cleanup of the testing.TB that it was made with.
type Pair struct {
	// Transport is the place.
	Transport transport.Transport

	// Dialer reaches it. It must not limit the frames that it receives to less than Config.MaxFrame.
	Dialer transport.Dialer

	// At makes the Dialer from the address of the listener, where only that knows it (a port that
	// the system has chosen). nil: Dialer.
	At func(net.Addr) transport.Dialer
}

// Config says what a transport can do and how the suite gets at it. The zero value is for a
// transport that moves frames and promises no more than every transport does.
type Config struct {
	// MaxFrame is the limit in bytes that the transports of the pairs have.
	// 0: transport.DefaultMaxFrame. With 1 MiB the suite is faster and as thorough.
	MaxFrame int

	// Kind is what Peer.Transport says on both sides. Empty: anything.
	Kind string

	// Subjects are those of the credentials that a peer has proven to the listener, and
	// ListenerSubjects those that the listener has proven to the dialer, each in order.
	Subjects         []string
	ListenerSubjects []string

	// HalfClose says the last word on a conn that was dialed, and leaves it able to receive. nil:
	// the transport has no such thing.
	HalfClose func(transport.Conn) error

	// Departs: when the peer has closed its conn, the conn's Context ends as soon as Receive has
	// come to the end. Otherwise it takes a failed Send.
	Departs bool

	// Raw opens a connection to l on which the suite writes the bytes of frames itself, in pieces
	// and with comments between, and reads replies, one a line. Should it have a method CloseWrite()
	// error, then a last word in the middle of a frame is tested too. nil: frames are messages on
	// this wire, and cannot be glued or split.
	Raw func(ctx context.Context, p Pair, l transport.Listener) (io.ReadWriteCloser, error)

	// Silent connects to l as far as it goes without saying anything: a TCP connection on which no
	// TLS handshake begins. nil: Dial is as silent as it gets.
	Silent func(ctx context.Context, p Pair, l transport.Listener) (io.Closer, error)

	// Mute: after a *transport.FrameError nothing can be sent either, since the wire has its own
	// word for it (WebSocket's close code 1009).
	Mute bool

	// OneShot: a conn carries one frame there and the replies back, as an HTTP request does; it
	// is seen by the listener once the frame has been sent. Receive returns io.EOF after it.
	OneShot bool
}
