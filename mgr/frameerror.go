package mgr

import (
	"fmt"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// frameError returns the reply to bytes that are not a frame, in Kea's words.
func frameError(e *transport.FrameError) *wire.Error {
	switch e.Reason {
	case transport.TimedOut:
		text := "Connection over control channel timed out"
		if e.Discarded > 0 {
			text += fmt.Sprintf(", discarded partial command of %d bytes", e.Discarded)
		}
		return &wire.Error{Code: wire.CodeError, Word: "silence", Text: text}
	case transport.TooLarge:
		return wire.Errorf(wire.CodeError, "too-large", "the command is longer than the %d bytes that are allowed (max-frame)", e.Limit)
	case transport.NoFrame:
		return wire.Errorf(wire.CodeError, "too-large", "there are more than %d bytes of white space and comments before the command; send the command, or close the connection (max-frame)", e.Limit)
	case transport.OverBudget:
		return wire.Errorf(wire.CodeTooMany, "too-many-bytes", "the command is not read to its end: %s: %d; send less at a time, or try again later", e.LimitName, e.Limit)
	case transport.BadFirstByte:
		first := "character"
		if e.Offset == 0 {
			first = "first character"
		}
		return wire.Errorf(wire.CodeError, "bad-frame", "invalid %s %c", first, e.Byte)
	case transport.BadComment:
		return wire.Errorf(wire.CodeError, "bad-frame", "invalid characters /%c", e.Byte)
	}
	return wire.Errorf(wire.CodeError, "bad-frame", "%s", e)
}
