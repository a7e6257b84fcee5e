package transport

import (
	"bytes"
	"context"
	"io"
	"time"
)

// A script is a byte stream that is read in given pieces, then ends.
type script struct {
	pieces [][]byte
	sent   bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.sent.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// receiveAll receives what the pieces make, and returns why that ended.
func receiveAll(pieces ...[]byte) (frames []string, err error) {
	s := NewStream(&script{pieces: pieces}, StreamConfig{Idle: -1, FrameTimeout: -1})
	defer func() { _ = s.Close() }()
	for {
		frame, err := s.Receive(context.Background(), nil)
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(frame))
	}
}

// bytewise cuts b into single bytes.
func bytewise(b []byte) [][]byte {
	var pieces [][]byte
	for i := range b {
		pieces = append(pieces, b[i:i+1:i+1])
	}
	return pieces
}
