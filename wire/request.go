package wire

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// A Request is one command as it was asked for.
type Request struct {
	Command   string        // required; any text
	Arguments Value         // nil: none were given
	ID        ID            // zero: the request is the last one of its conn
	Timeout   time.Duration // after so long the daemon answers 408; 0: no limit
	Service   []string      // the daemons that a gateway forwards it to; a daemon ignores it
}

// The members of a request, in the order in which DecodeRequest finds them.
var requestNames = []string{"command", "arguments", "id", "timeout", "service", "remote-address"}

const (
	memberCommand = iota
	memberArguments
	memberID
	memberTimeout
	memberService
)

// DecodeRequest reads a frame strictly. The Request refers to the frame's bytes. The error, if
// any, has Kea's text and the place. The Request then still has the ID if that was read whole, up to the comma or
// bracket behind it, and is valid and the only one, so that the error reply can have it. Any other ID counts as none.
func DecodeRequest(frame []byte) (Request, *Error) { return Decoder{}.Decode(frame) }

// A Decoder reads requests. The zero Decoder is DecodeRequest.
type Decoder struct {
	// Name returns the string of a command's name. A daemon has the strings of its commands already and
	// returns one of those without an allocation. nil: a new string for each request.
	Name func(name []byte) string
}

// Decode is DecodeRequest with the options of d.
func (d Decoder) Decode(frame []byte) (r Request, bad *Error) {
	if !d.decodeFast(&r, frame) {
		r, bad = d.decodeSlow(frame)
	}
	return r, bad
}

// decodeSlow reads any request. It is not inlined, since it needs a large stack.
//
//go:noinline
func (d Decoder) decodeSlow(frame []byte) (Request, *Error) {
	p := parser{b: frame, names: requestNames}
	bad := p.whole()
	r := Request{Arguments: p.members[memberArguments]}
	id, ok := p.members[memberID], true
	if id != nil {
		r.ID, ok = parseID(id)
	}
	if bad != nil {
		return Request{ID: r.ID}, bad
	}
	command := p.members[memberCommand]
	switch whole := Value(frame[p.outer:]); {
	case whole.kind() != kindMap:
		return r, invalid("", "expected toplevel entry to be a map, got %s instead", whole.Kind())
	case command == nil:
		return r, invalid("", "does not contain mandatory 'command'")
	case p.unknown != nil:
		name := string(p.unknown)
		return r, invalid(pointer(name), "unsupported parameter '%s'", Shorten(name))
	case command.kind() != kindString:
		return r, invalid("/command", "expected 'command' to be a string, got %s instead", command.Kind())
	case !ok:
		return r, invalid("/id", "expected 'id' to be a string of at most 128 bytes or an integer within ±2^53, got %s", Shorten(string(id)))
	}
	r.Command = d.name(command)
	if timeout := p.members[memberTimeout]; timeout != nil {
		seconds, err := strconv.ParseFloat(string(timeout), 64)
		if err != nil || seconds <= 0 || seconds > maxTimeout.Seconds() {
			return r, invalid("/timeout", "expected 'timeout' to be a number of seconds above 0 and at most %d, got %s", int(maxTimeout.Seconds()), Shorten(string(timeout)))
		}
		r.Timeout = max(1, time.Duration(math.Round(seconds*float64(time.Second)))) // 0 would be no limit
	}
	if service := p.members[memberService]; service != nil {
		var names []string
		_ = service.Decode(&names) // a daemon ignores a value of another type
		r.Service = names
	}
	return r, nil
}

func (d Decoder) name(command Value) string {
	if d.Name == nil || bytes.IndexByte(command, '\\') >= 0 {
		return unquote(command)
	}
	return d.Name(command[1 : len(command)-1])
}

// maxTimeout is the longest timeout of a request. A timer can hold it.
const maxTimeout = 366 * 24 * time.Hour

// invalid returns the error of a well-formed message that is no request.
func invalid(pointer, format string, args ...any) *Error {
	e := Errorf(CodeError, "bad-request", "Error during command processing: invalid command: "+format, args...)
	if pointer != "" {
		e.Fields = []Field{{pointer, e.Text}}
	}
	return e
}

// AppendRequest appends r as a compact frame. It fails, and returns dst as it was, when the arguments
// are no JSON or nested too deeply for a request.
func AppendRequest(dst []byte, r Request) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `{"command":`...)
	dst = appendString(dst, r.Command)
	if r.Arguments != nil {
		if bad := (&parser{b: r.Arguments, depth: 1}).whole(); bad != nil {
			return dst[:start], bad
		}
		dst = append(dst, `,"arguments":`...)
		dst, _ = appendCompact(dst, r.Arguments, anything)
	}
	if len(r.Service) > 0 {
		dst = append(dst, `,"service":[`...)
		for i, name := range r.Service {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, name)
		}
		dst = append(dst, ']')
	}
	if r.Timeout > 0 {
		dst = append(dst, `,"timeout":`...)
		dst = strconv.AppendFloat(dst, r.Timeout.Seconds(), 'f', -1, 64)
	}
	if !r.ID.IsZero() {
		dst = append(dst, `,"id":`...)
		dst = r.ID.append(dst)
	}
	return append(dst, '}'), nil
}
