package transport

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
)

// maxCopied is the total length up to which Send copies frames together for one write. Longer frames go to the kernel
// from where they lie.
const maxCopied = 64 << 10

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

var newline = []byte{'\n'}

// Send implements Conn.
func (s *Stream) Send(ctx context.Context, frames ...[]byte) error {
	if len(s.rest) > 0 || lineLength(frames) > maxCopied {
		return s.writeBuffers(ctx, lineBuffers(frames))
	}
	if err := s.beginSend(ctx); err != nil {
		return err
	}
	buf := sendBuffers.Get().(*[]byte)
	lines := appendLines((*buf)[:0], frames)
	n, err := s.write(lines)
	missing := len(lines) - n
	*buf = lines
	sendBuffers.Put(buf)
	return s.endSend(ctx, missing, err)
}

// write writes p, through the descriptor if there is one for writing.
func (s *Stream) write(p []byte) (int, error) {
	if s.writesFD {
		return s.fd.Write(p)
	}
	return s.bytes.Write(p)
}

// writeBuffers writes the rest that tryWriteFrames has left, and buffers behind it.
func (s *Stream) writeBuffers(ctx context.Context, buffers net.Buffers) error {
	if err := s.beginSend(ctx); err != nil {
		return err
	}
	if len(s.rest) > 0 {
		buffers = append(s.rest, buffers...)
		s.rest = nil
	}
	_, err := buffers.WriteTo(s.bytes)
	missing := 0
	for _, buffer := range buffers {
		missing += len(buffer)
	}
	return s.endSend(ctx, missing, err)
}

// tryWriteFrames implements netfd.FrameConn.TryWriteFrames.
func (s *Stream) tryWriteFrames(frames [][]byte) (written bool, err error) {
	if err := s.tryError(); err != nil {
		return false, err
	}
	if lineLength(frames) > maxCopied {
		return s.tryWriteBuffers(lineBuffers(frames))
	}
	buf := sendBuffers.Get().(*[]byte)
	lines := appendLines((*buf)[:0], frames)
	n, err := s.fd.TryWrite(lines)
	if written = n == len(lines); !written && err == nil {
		s.rest = net.Buffers{slices.Clone(lines[n:])}
	}
	*buf = lines
	sendBuffers.Put(buf)
	if err != nil {
		s.cancel(err)
	}
	return written, err
}

// tryWriteParts implements netfd.FrameConn.TryWriteParts.
func (s *Stream) tryWriteParts(head, body []byte, tail string) (written bool, err error) {
	if err := s.tryError(); err != nil {
		return false, err
	}
	return s.tryWriteBuffers(partBuffers(head, body, tail))
}

// tryError returns the reason for which nothing can be written without blocking now, or nil.
func (s *Stream) tryError() error {
	if err := s.sendError(); err != nil {
		return err
	}
	if !s.fd.InLoop() || !s.writesFD || len(s.rest) > 0 {
		return errors.ErrUnsupported
	}
	return nil
}

// tryWriteBuffers writes as much as the socket buffer takes, and keeps the rest for Send.
func (s *Stream) tryWriteBuffers(buffers net.Buffers) (written bool, err error) {
	if s.rest, err = s.fd.TryWriteBuffers(buffers); err != nil {
		s.cancel(err)
	}
	return len(s.rest) == 0, err
}

// sendError returns the reason for which nothing can be sent any more, or nil.
func (s *Stream) sendError() error {
	if s.fd.Closed() {
		return net.ErrClosed
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return nil
}

func (s *Stream) beginSend(ctx context.Context) error {
	if err := s.sendError(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.writeEnd.Watch(ctx)
	return nil
}

// endSend returns the error of Send for the error of a write that has not written the last missing bytes.
func (s *Stream) endSend(ctx context.Context, missing int, err error) error {
	if err == nil {
		return nil
	}
	if s.fd.Closed() {
		return net.ErrClosed
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.cancel(err) // part of a frame may have been written
	if missing == 1 {
		return nil // all but the last line feed: the peer has the frame, and may have hung up after it
	}
	return err
}

// lineLength returns the total length of frames as lines.
func lineLength(frames [][]byte) int {
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

// lineBuffers returns frames as lines, without a copy.
func lineBuffers(frames [][]byte) net.Buffers {
	buffers := make(net.Buffers, 0, 2*len(frames))
	for _, frame := range frames {
		buffers = append(buffers, frame, newline)
	}
	return buffers
}

// partBuffers returns a frame in three parts as a line, without a copy of the first two.
func partBuffers(head, body []byte, tail string) net.Buffers {
	return net.Buffers{head, body, append([]byte(tail), '\n')}
}
