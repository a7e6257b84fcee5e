package transport

import (
	"context"
	"slices"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// Hearer is the fast path of a conn in its earlier form. Stream.Fast replaces it.
type Hearer interface {
	Conn
	Hear(ctx context.Context, heard func(frame []byte, err error) (goOn bool)) (quiet bool)
	TrySend(frames ...[]byte) (sent bool, err error)
	TrySendParts(head, body []byte, tail string) (sent bool, err error)
}

// Hear is ReadLoop of Fast.
func (s *Stream) Hear(ctx context.Context, heard func(frame []byte, err error) (goOn bool)) (quiet bool) {
	return s.readLoop(ctx, heard) == netfd.Idle
}

// TrySend is TryWriteFrames of Fast.
func (s *Stream) TrySend(frames ...[]byte) (sent bool, err error) { return s.tryWriteFrames(frames) }

// TrySendParts is TryWriteParts of Fast.
func (s *Stream) TrySendParts(head, body []byte, tail string) (sent bool, err error) {
	return s.tryWriteParts(head, body, tail)
}

// SendParts is WriteParts of Fast.
func (s *Stream) SendParts(ctx context.Context, head, body []byte, tail string) error {
	return s.writeBuffers(ctx, partBuffers(head, body, tail))
}

// SendParts sends one frame in three parts on any conn.
func SendParts(ctx context.Context, conn Conn, head, body []byte, tail string) error {
	if fast, ok := conn.(interface{ Fast() netfd.FrameConn }); ok {
		return fast.Fast().WriteParts(ctx, head, body, tail)
	}
	return conn.Send(ctx, slices.Concat(head, body, []byte(tail)))
}

// Watch is a netfd.Poller in its earlier form.
type Watch struct{ poller *netfd.Poller }

// NewWatch returns a Watch, which needs Run.
func NewWatch() (*Watch, error) {
	p, err := netfd.NewPoller()
	if err != nil {
		return nil, err
	}
	return &Watch{p}, nil
}

// Run is Run of a Poller.
func (w *Watch) Run(ctx context.Context) { w.poller.Run(ctx) }

// Add is Park of Fast.
func (w *Watch) Add(conn Conn, wake func()) bool {
	fast, ok := conn.(interface{ Fast() netfd.FrameConn })
	return ok && fast.Fast().Park(w.poller, wake)
}

// Wake is Unpark of Fast.
func (w *Watch) Wake(conn Conn) {
	if fast, ok := conn.(interface{ Fast() netfd.FrameConn }); ok {
		fast.Fast().Unpark(w.poller)
	}
}
