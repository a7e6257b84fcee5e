package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
)

// A Reply is one reply to a request. A reply whose Code.Failed() is a failure. AppendReply writes a failure without
// arguments and with the member `error`; what the Reply has as Arguments is then in the error's data.
type Reply struct {
	ID        ID     // that of the request
	Code      Code   // its result
	Text      string // for people; required unless Code is CodeSuccess
	Arguments any    // a Raw, a Value, or any Go value that can be encoded; nil, or a nil Value: none. Decoded: a Value
	Error     *Error // of a failure: its word, fields and data, while the Reply's own Code and Text count; nil: those of Code
	More      bool   // another reply to the same request follows
}

// Err returns a failed reply as an *Error, and nil for any other reply. Arguments that came with a failure (Kea's programs
// send such replies) are the error's data, unless it has data of its own.
func (r Reply) Err() error {
	if !r.Code.Failed() {
		return nil
	}
	e := &Error{Code: r.Code, Text: r.Text}
	if r.Error != nil {
		e.Word, e.Fields = r.Error.Word, r.Error.Fields
	}
	if data := r.errorData(); isGiven(data) {
		e.Data = data
	}
	return e
}

// errorData returns the data of a failed reply's error.
func (r Reply) errorData() any {
	if r.Error != nil && isGiven(r.Error.Data) {
		return r.Error.Data
	}
	return r.Arguments
}

// isGiven reports whether there is a value to encode.
func isGiven(v any) bool {
	value, ok := v.(Value)
	return v != nil && (!ok || value != nil)
}

// Decode decodes the arguments of a reply that DecodeReply returned into the variable that into points at. It ignores keys that the
// type does not have, since a newer daemon may send more.
func (r Reply) Decode(into any) error {
	v, ok := r.Arguments.(Value)
	if !ok {
		return errors.New("the reply has no arguments")
	}
	return json.Unmarshal(v, into)
}

// AppendReply appends r as a compact frame that every client of Kea can read. If the arguments, or the data of the error,
// cannot be written so, it returns dst unchanged and an error. That is a defect of the daemon, not of the client.
func AppendReply(dst []byte, r Reply) ([]byte, error) {
	start := len(dst)
	dst = appendHead(dst, r)
	var err error
	switch {
	case r.Code.Failed():
		dst, err = appendError(dst, r)
	case r.hasArguments():
		dst, err = appendArguments(dst, r.Arguments)
	}
	if err != nil {
		return dst[:start], err
	}
	return append(dst, r.tail()...), nil
}

// AppendParts is AppendReply for a caller that can send a frame in parts. r must be a success whose
// arguments are a Raw. arguments is the memory of the Raw itself, and must not be changed.
func AppendParts(dst []byte, r Reply) (head, arguments []byte, tail string) {
	raw, _ := r.Arguments.(Raw)
	return appendHead(dst, r), raw.text(), r.tail()
}

func (r Reply) hasArguments() bool { return isGiven(r.Arguments) && !r.Code.Failed() }

// appendHead appends the text before the arguments, or before the error.
func appendHead(dst []byte, r Reply) []byte {
	dst = append(dst, '{')
	if !r.ID.IsZero() {
		dst = append(dst, `"id":`...)
		dst = r.ID.append(dst)
		dst = append(dst, ',')
	}
	dst = append(dst, `"result":`...)
	dst = strconv.AppendInt(dst, int64(r.Code), 10)
	if r.Text != "" {
		dst = append(dst, `,"text":`...)
		dst = appendString(dst, r.Text)
	}
	if r.hasArguments() {
		dst = append(dst, `,"arguments":`...)
	}
	return dst
}

// tail returns the text behind the arguments, or behind the error.
func (r Reply) tail() string {
	if r.More {
		return `,"more":true}`
	}
	return "}"
}

// scratch holds an encoded value until appendCompact has copied it.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxScratch is the size, in bytes, of the largest buffer that the pool keeps. With 64 KiB, replies beyond that took a fifth more
// time, and three times as much if they were one long string: each grew a new buffer. (BenchmarkAppendReply/64KiB)
const maxScratch = 2 << 20

func appendArguments(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case Raw:
		return append(dst, v.text()...), nil
	case Value:
		if bad := (&parser{b: v}).whole(); bad != nil {
			return dst, bad
		}
		return appendCompact(dst, v, forKea)
	}
	buf := scratch.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxScratch {
			buf.Reset()
			scratch.Put(buf)
		}
	}()
	if err := json.MarshalWrite(buf, v, json.Deterministic(true), allowInvalidUTF8); err != nil {
		return dst, err
	}
	return appendCompact(dst, buf.Bytes(), forKea)
}

// The members of a reply.
var replyNames = []string{"result", "text", "arguments", "id", "more", "error"}

// DecodeReply reads a frame that a daemon of ours or Kea sent. It ignores members that it does not
// know. The Reply refers to the frame's bytes.
func DecodeReply(frame []byte) (Reply, error) {
	p := parser{b: frame, names: replyNames}
	if bad := p.whole(); bad != nil {
		return Reply{}, fmt.Errorf("the reply is no JSON: %w", bad)
	}
	result, text, arguments, id, more := p.members[0], p.members[1], p.members[2], p.members[3], p.members[4]
	code, err := strconv.Atoi(string(result))
	if err != nil {
		return Reply{}, errors.New("the reply has no integer 'result'")
	}
	r := Reply{Code: Code(code), More: string(more) == "true"}
	if text.kind() == kindString {
		r.Text = unquote(text)
	}
	if arguments != nil {
		r.Arguments = arguments
	}
	if id != nil {
		r.ID, _ = parseID(id)
	}
	if failure := p.members[5]; failure != nil && r.Code.Failed() {
		r.Error = decodeError(r, failure)
	}
	return r, nil
}
