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
	return s.sendPieces(ctx, net.Buffers{head, body, append([]byte(tail), '\n')})
}

// Send implements Conn.
func (s *Stream) Send(ctx context.Context, frames ...[]byte) error {
	if len(s.left) > 0 || total(frames) > maxCopied {
		return s.sendPieces(ctx, pieces(frames))
	}
	if err := s.beginSend(ctx); err != nil {
		return err
	}
	buf := sendBuffers.Get().(*[]byte)
	lines := appendLines((*buf)[:0], frames)
	n, err := s.out.Write(lines)
	missing := len(lines) - n
	*buf = lines
	sendBuffers.Put(buf)
	return s.endSend(ctx, missing, err)
}

// sendPieces sends what TrySend has left, and pieces behind it.
func (s *Stream) sendPieces(ctx context.Context, pieces net.Buffers) error {
	if err := s.beginSend(ctx); err != nil {
		return err
	}
	if len(s.left) > 0 {
		pieces = append(s.left, pieces...)
		s.left = nil
	}
	_, err := pieces.WriteTo(s.bytes)
	missing := 0
	for _, piece := range pieces {
		missing += len(piece)
	}
	return s.endSend(ctx, missing, err)
}

// cannotSend says why nothing can be sent any more.
func (s *Stream) cannotSend() error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

func (s *Stream) beginSend(ctx context.Context) error {
	if err := s.cannotSend(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.writeEnd.follow(ctx)
	return nil
}

// endSend makes an error of Send of what a write said that left so many bytes.
func (s *Stream) endSend(ctx context.Context, missing int, err error) error {
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
	if missing == 1 {
		return nil // all but the last line feed: the peer has the frame, and may have left with it
	}
	return err
}

// total is how long frames are as lines.
func total(frames [][]byte) int {
	n := len(frames)
	for _, frame := range frames {
		n += len(frame)
	}
	return n
}

// appendLines appends frames as lines.
func appendLines(dst []byte, frames [][]byte) []byte {
	for _, frame := range frames {
		dst = append(dst, frame...)
		dst = append(dst, '\n')
	}
	return dst
}

// pieces are frames as lines, where they lie.
func pieces(frames [][]byte) net.Buffers {
	pieces := make(net.Buffers, 0, 2*len(frames))
	for _, frame := range frames {
		pieces = append(pieces, frame, newline)
	}
	return pieces
}
