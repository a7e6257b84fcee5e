package transport

import "github.com/rudderpost/rudderpost/internal/framescan"

// Frame returns the frame in a message, for a protocol that separates messages itself, as WebSocket does. The result is a
// part of message, without white space before and after the frame. Frame blanks comments in place, as a Stream does. Other
// bytes behind the frame stay, and so does an incomplete frame: the JSON decoder refuses both. An empty message is an empty
// frame. The error is *FrameError when the message cannot contain a frame.
func Frame(message []byte) ([]byte, error) {
	var s framescan.Scanner
	end, bad := s.Scan(message)
	if bad != nil {
		return nil, frameError(bad)
	}
	if end == 0 {
		if s.Depth == 0 {
			return message[len(message):], nil
		}
		return message[s.Start:], nil
	}
	behind := framescan.Scanner{Pos: end}
	if more, bad := behind.Scan(message); bad != nil || more > 0 || behind.Depth > 0 || behind.BehindSlash() {
		return message[s.Start:], nil
	}
	return message[s.Start:end], nil
}

// frameError returns the FrameError for an error of the scanner.
func frameError(bad *framescan.Error) *FrameError {
	reason := BadFirstByte
	if bad.Comment {
		reason = BadComment
	}
	return &FrameError{Reason: reason, Byte: bad.Byte, Offset: bad.Offset}
}
