package transport

import (
	"fmt"
	"io"
)

// DefaultMaxFrame is the default length of the longest frame that a conn of a listener receives, in bytes: 16 MiB.
const DefaultMaxFrame = 16 << 20

// ClientMaxFrame is the same for a dialed conn, 64 MiB: replies may be longer than requests, and the clients of Kea read
// several megabytes.
const ClientMaxFrame = 64 << 20

// A Reason tells why bytes cannot become a frame.
type Reason uint8

// The reasons.
const (
	TooLarge     Reason = iota + 1 // longer than MaxFrame
	BadFirstByte                   // no JSON object or array starts with this byte
	BadComment                     // a slash outside a string that starts no comment
	TimedOut                       // the peer was silent, or a frame took too long to become complete
	BadEncoding                    // the encoding of the underlying protocol is broken
	CutOff                         // the peer closed its writing half inside a frame
	OverBudget                     // the daemon would hold more bytes than a limit of its manager allows
	NoFrame                        // more white space and comments between two frames than MaxFrame and 64 KiB
	Binary                         // a binary message, in a protocol with text and binary messages
)

// A FrameError reports bytes that cannot become a frame. It ends receiving and not sending, so that the daemon can send
// an error reply.
type FrameError struct {
	Reason    Reason
	Byte      byte // BadFirstByte: the byte; BadComment: the one after the slash
	Offset    int  // bytes of the conn's current frame, and of white space and comments before it, that came before
	Discarded int  // bytes of an unfinished frame that are lost, comments not counted
	Limit     int  // TooLarge, OverBudget, NoFrame: how many bytes are allowed

	// LimitName is for OverBudget: the name of the limit and its configuration key, if it has one.
	LimitName string
}

// Error implements error.
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

// Unwrap returns io.EOF for CutOff: the peer sends no more.
func (e *FrameError) Unwrap() error {
	if e.Reason == CutOff {
		return io.EOF
	}
	return nil
}
