package transport

import (
	"fmt"
	"io"
)

// Frame returns the frame in a message of a wire that keeps messages apart. White space before it and
// behind it is gone, and comments are blanked in place, as they are for a Stream. Whatever else stands
// behind the frame stays, and so does a frame that is not whole: both are for whoever reads the JSON
// to refuse. A message that can hold no frame is a *FrameError; an empty one is an empty frame.
func Frame(message []byte) ([]byte, error) {
	var s scanner
	end, bad := s.scan(message)
	if bad != nil {
		return nil, bad
	}
	if end == 0 {
		if s.depth == 0 {
			return message[len(message):], nil
		}
		return message[s.start:], nil
	}
	behind := scanner{pos: end}
	if more, bad := behind.scan(message); bad != nil || more > 0 || behind.depth > 0 || behind.state == slash {
		return message[s.start:], nil
	}
	return message[s.start:end], nil
}

// OneFrame is Frame for a wire that can itself refuse what is not exactly one frame. The error is io.EOF where
// there is none, *FrameError where there can be none or it was cut off, and another where there is more behind it.
func OneFrame(message []byte) ([]byte, error) {
	var s scanner
	end, bad := s.scan(message)
	switch {
	case bad != nil:
		return nil, bad
	case end == 0 && s.depth == 0:
		return nil, io.EOF
	case end == 0:
		return nil, &FrameError{Reason: CutOff, Discarded: s.unfinished(len(message))}
	}
	behind := scanner{pos: end}
	more, bad := behind.scan(message)
	switch {
	case bad != nil:
		return nil, bad
	case more > 0 || behind.depth > 0:
		return nil, fmt.Errorf("there is more behind the frame, which ends at byte %d; send one at a time", end)
	}
	return message[s.start:end], nil
}
