package transport

import (
	"fmt"
	"io"
)

// DefaultMaxFrame is the longest frame in bytes that a listener's conns receive unless told otherwise.
const DefaultMaxFrame = 16 << 20

// ClientMaxFrame is the same for conns that were dialed: replies may be longer than requests, and
// Kea's clients read several megabytes.
const ClientMaxFrame = 64 << 20

// A Reason says why bytes cannot become a frame.
type Reason uint8

// The reasons.
const (
	TooLarge     Reason = iota + 1 // longer than MaxFrame
	BadFirstByte                   // no JSON object or array starts with this byte
	BadComment                     // a slash outside a string that starts no comment
	TimedOut                       // silence, or a frame that took too long to become whole
	BadEncoding                    // the wire's own encoding is broken
	CutOff                         // the peer said its last word inside a frame
	OverBudget                     // the daemon would hold more bytes than a limit of its manager allows
	NoFrame                        // more white space and comments between two frames than MaxFrame and 64 KiB
	Binary                         // a binary message, on a wire whose messages can be text or binary
)

// A FrameError reports bytes that cannot become a frame. Receiving ends with it, sending does not,
// so that whoever has the conn can answer in words.
type FrameError struct {
	Reason    Reason
	Byte      byte // BadFirstByte: the byte; BadComment: the one after the slash
	Offset    int  // bytes of the conn's current frame, and of white space and comments before it, that came before
	Discarded int  // bytes of an unfinished frame that are lost, comments not counted
	Limit     int  // TooLarge, OverBudget, NoFrame: how many bytes are allowed

	// LimitName is for OverBudget: the limit in the daemon's words, and its key where it has one.
	LimitName string
}

// Error describes the defect for a log.
func (e *FrameError) Error() string {
	switch e.Reason {
	case TooLarge:
		return fmt.Sprintf("frame is longer than %d bytes", e.Limit)
	case BadFirstByte:
		return fmt.Sprintf("a frame cannot start with the byte %q (offset %d)", e.Byte, e.Offset)
	case BadComment:
		return fmt.Sprintf("a slash followed by %q starts no comment (offset %d)", e.Byte, e.Offset)
	case TimedOut:
		return fmt.Sprintf("timed out with %d bytes of an unfinished frame", e.Discarded)
	case NoFrame:
		return fmt.Sprintf("more than %d bytes of white space and comments before a frame", e.Limit)
	case Binary:
		return "a binary message is no command; send the JSON as a text message"
	case BadEncoding:
		return fmt.Sprintf("bad encoding (offset %d)", e.Offset)
	case OverBudget:
		return fmt.Sprintf("more than %d bytes would be held: %s", e.Limit, e.LimitName)
	case CutOff:
		return fmt.Sprintf("the peer stopped after %d bytes of a frame", e.Discarded)
	}
	return "bad frame"
}

// Unwrap makes a frame that was cut off an io.EOF: the peer will say no more.
func (e *FrameError) Unwrap() error {
	if e.Reason == CutOff {
		return io.EOF
	}
	return nil
}
