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

// A Transport listens in a directory, or dials a daemon that does. It may be copied before its first use.
type Transport struct {
	// Dir is the directory. It must exist, belong to the user of the daemon, and have one of the modes of the package comment.
	Dir string

	// MaxFrame is the largest frame that a conn receives, in bytes. Zero stands for transport.DefaultMaxFrame on the conns of a
	// listener, and for transport.ClientMaxFrame on dialed conns.
	MaxFrame int

	// Idle and FrameTimeout are those of transport.StreamConfig: the time until the first frame of a client is complete, and the
	// time for one frame. Dialed conns have no idle timeout, since a daemon may need long for a reply.
	Idle, FrameTimeout time.Duration

	// OnRefused is called for each refused client. It must not block: the listener accepts no other client until it returns. It
	// may be nil.
	OnRefused func(transport.Refusal)
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// A User is the credential of a peer: the owner of its FIFOs. For a client it is the owner of the FIFO "connect".
type User struct{ UID uint32 }

// Subject implements transport.Credential: "uid:1000".
func (u User) Subject() string { return "uid:" + strconv.FormatUint(uint64(u.UID), 10) }

// Listen makes the FIFO "connect" in Dir. The error wraps syscall.EADDRINUSE if another daemon listens there.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: kind, Addr: addr(t.Dir), Err: err}
	}
	return l, nil
}

// Dial connects to the daemon that listens in Dir. It waits at most 5 s for the answer.
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

// addr is the path of the directory, as a net.Addr.
type addr string

func (addr) Network() string  { return kind }
func (a addr) String() string { return string(a) }
