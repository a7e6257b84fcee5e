//go:build linux

package fifo

import (
	"cmp"
	"context"
	"net"
	"strconv"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// Transport is a directory in which a daemon can be reached.
type Transport struct {
	// Dir is the directory. It exists, belongs to the daemon's user, and has a mode of those that
	// the package comment tells.
	Dir string

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for the
	// conns of a listener, transport.ClientMaxFrame for those that were dialed.
	MaxFrame int

	// Idle is how long a client may be silent before its first frame is whole, and FrameTimeout how
	// long a frame may take; see transport.StreamConfig. Idle is not for conns that were dialed: a
	// daemon may take its time.
	Idle, FrameTimeout time.Duration

	// OnRefused is told of knocks that did not become a conn. It must not wait: until it returns
	// nobody is let in. nil: nobody is told.
	OnRefused func(transport.Refusal)
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// A User is the proven owner of a peer's FIFOs: of those that a client made, and for a client, of
// the one on which the daemon hears it knock.
type User struct{ UID uint32 }

// Subject implements transport.Credential: "uid:1000".
func (u User) Subject() string { return "uid:" + strconv.FormatUint(uint64(u.UID), 10) }

// Listen opens the control socket. The error is syscall.EADDRINUSE when another daemon has it.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: kind, Addr: addr(t.Dir), Err: err}
	}
	return l, nil
}

// Dial knocks at the daemon that listens in Dir, and waits for at most 5 s to be let in.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	s, err := t.dial(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: kind, Addr: addr(t.Dir), Err: err}
	}
	return s.conn(addr(t.Dir), transport.StreamConfig{
		MaxFrame:     cmp.Or(t.MaxFrame, transport.ClientMaxFrame),
		Idle:         -1,
		FrameTimeout: t.FrameTimeout,
	}), nil
}

const kind = "fifo"

// addr is the directory.
type addr string

func (addr) Network() string  { return kind }
func (a addr) String() string { return string(a) }
