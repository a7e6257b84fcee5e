package transport

import (
	"context"
	"net"
	"slices"
	"sync"
)

// maxCopied is the total length up to which frames are copied together into one write; beyond it
// they are handed to the kernel where they lie.
const maxCopied = 64 << 10

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

var newline = []byte{'\n'}

// A PartSender is a Conn that can send a long frame from where its parts lie. A Stream is one.
type PartSender interface {
	Conn

	// SendParts is Send for one frame in three parts.
	SendParts(ctx context.Context, head, body []byte, tail string) error
}

// SendParts sends one frame in three parts on any conn: from where they lie if it is a PartSender.
func SendParts(ctx context.Context, conn Conn, head, body []byte, tail string) error {
	if conn, ok := conn.(PartSender); ok {
		return conn.SendParts(ctx, head, body, tail)
	}
	return conn.Send(ctx, slices.Concat(head, body, []byte(tail)))
}

// SendParts implements PartSender.
func (s *Stream) SendParts(ctx context.Context, head, body []byte, tail string) error {
	return s.send(ctx, len(head)+len(body)+len(tail)+1, func() (int64, error) {
		parts := net.Buffers{head, body, append([]byte(tail), '\n')}
		return parts.WriteTo(s.bytes)
	})
}

// Send implements Conn.
func (s *Stream) Send(ctx context.Context, frames ...[]byte) error {
	total := total(frames)
	return s.send(ctx, total, func() (int64, error) { return s.write(frames, total) })
}

// send sends so many bytes.
func (s *Stream) send(ctx context.Context, total int, write func() (int64, error)) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.writeEnd.follow(ctx)
	n, err := write()
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		return net.ErrClosed
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.gone(err) // part of a frame may have gone out
	if n == int64(total)-1 {
		return nil // all but the last line feed: the peer has the frame, and may have left with it
	}
	return err
}

func (s *Stream) write(frames [][]byte, total int) (int64, error) {
	if total <= maxCopied {
		buf := sendBuffers.Get().(*[]byte)
		lines := appendLines((*buf)[:0], frames)
		n, err := s.out.Write(lines)
		*buf = lines
		sendBuffers.Put(buf)
		return int64(n), err
	}
	lines := make(net.Buffers, 0, 2*len(frames))
	for _, frame := range frames {
		lines = append(lines, frame, newline)
	}
	return lines.WriteTo(s.bytes)
}

// total is how long frames are as lines.
func total(frames [][]byte) int {
	n := len(frames)
	for _, frame := range frames {
		n += len(frame)
	}
	return n
}

func appendLines(dst []byte, frames [][]byte) []byte {
	for _, frame := range frames {
		dst = append(dst, frame...)
		dst = append(dst, '\n')
	}
	return dst
}
