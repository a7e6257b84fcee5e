package http

import (
	"fmt"
	"io"

	"github.com/rudderpost/rudderpost/internal/framescan"
	"github.com/rudderpost/rudderpost/transport"
)

// oneFrame returns the frame in a body, as transport.Frame does, but refuses a body without exactly one complete frame.
// The error is io.EOF for a body without a frame, *transport.FrameError when the body cannot contain a frame or it is
// incomplete, and another error when more follows the frame.
func oneFrame(body []byte) ([]byte, error) {
	var s framescan.Scanner
	end, bad := s.Scan(body)
	switch {
	case bad != nil:
		return nil, scanError(bad)
	case end == 0 && s.Depth == 0:
		return nil, io.EOF
	case end == 0:
		return nil, &transport.FrameError{Reason: transport.CutOff, Discarded: s.Unfinished(len(body))}
	}
	behind := framescan.Scanner{Pos: end}
	more, bad := behind.Scan(body)
	switch {
	case bad != nil:
		return nil, scanError(bad)
	case more > 0 || behind.Depth > 0:
		return nil, fmt.Errorf("there is more behind the frame, which ends at byte %d; send one at a time", end)
	}
	return body[s.Start:end], nil
}

func scanError(bad *framescan.Error) *transport.FrameError {
	reason := transport.BadFirstByte
	if bad.Comment {
		reason = transport.BadComment
	}
	return &transport.FrameError{Reason: reason, Byte: bad.Byte, Offset: bad.Offset}
}
