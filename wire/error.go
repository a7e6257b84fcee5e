package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// An Error is the failure of a command: its reply's result, text and member `error`. A handler returns an Error to
// choose them; any other error becomes result 1 with its text.
type Error struct {
	Code   Code    // the reply's result; 0 counts as CodeError. CodeEmpty is no failure: its reply has no member `error`
	Word   string  // a stable word for programs, such as "bad-arguments"; "": the word of Code
	Text   string  // for people: the cause, the place, and what to do next
	Fields []Field // the arguments at fault, if any are
	Data   any     // for programs, encoded like Reply.Arguments; nil, or a nil Value: none. Decoded: a Value
}

// A Field is one argument at fault.
type Field struct {
	Pointer string `json:"pointer"` // its JSON pointer (RFC 6901) into the arguments, or, with bad-request, into the request
	Text    string `json:"text"`
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Is makes errors.Is compare by Code, and by Word where the target has one.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Word == "" || t.Word == e.word())
}

func (e *Error) word() string {
	if e.Word != "" {
		return e.Word
	}
	return e.Code.String()
}

// Errorf returns an Error with a formatted text. word may be empty.
func Errorf(code Code, word, format string, args ...any) *Error {
	return &Error{Code: code, Word: word, Text: fmt.Sprintf(format, args...)}
}

// MarshalJSON returns the member `error` of the failure's reply: code, fields and data. Code and Text are members of
// the reply itself.
func (e *Error) MarshalJSON() ([]byte, error) {
	member := errorMember[any]{Code: e.word(), Fields: e.Fields}
	if isGiven(e.Data) {
		member.Data = e.Data
	}
	return json.Marshal(member, json.Deterministic(true), allowInvalidUTF8)
}

// errorMember is the member `error` of a reply.
type errorMember[T any] struct {
	Code   string  `json:"code"`
	Fields []Field `json:"fields,omitempty"`
	Data   T       `json:"data,omitzero"`
}

// decodeError reads the member `error` of the reply r. If it is no map with a code, which another daemon may send, it
// counts as none.
func decodeError(r Reply, text Value) *Error {
	var member errorMember[Value]
	if json.Unmarshal(text, &member) != nil {
		return nil
	}
	e := &Error{Code: r.Code, Word: member.Code, Text: r.Text, Fields: member.Fields}
	if member.Data != nil {
		e.Data = member.Data
	}
	return e
}

// appendError appends the member `error` of the failed reply r. It returns an error if the data cannot be written for Kea's
// clients.
func appendError(dst []byte, r Reply) ([]byte, error) {
	var e Error
	if r.Error != nil {
		e = *r.Error
	}
	if e.Word == "" {
		e.Word = r.Code.String()
	}
	dst = append(dst, `,"error":{"code":`...)
	dst = appendString(dst, e.Word)
	for i, field := range e.Fields {
		dst = append(dst, separators[min(i, 1)]...)
		dst = append(dst, `{"pointer":`...)
		dst = appendString(dst, field.Pointer)
		dst = append(dst, `,"text":`...)
		dst = appendString(dst, field.Text)
		dst = append(dst, '}')
	}
	if len(e.Fields) > 0 {
		dst = append(dst, ']')
	}
	if data := r.errorData(); isGiven(data) {
		var err error
		dst = append(dst, `,"data":`...)
		start := len(dst)
		if dst, err = appendArguments(dst, data); err != nil {
			return dst, err
		}
		if isDeeper(dst[start:], maxReplyDepth-1) { // the map `error` is around it
			return dst, fmt.Errorf("the error's data is nested more than %d levels deep, which Kea's clients cannot read", maxReplyDepth-1)
		}
	}
	return append(dst, '}'), nil
}

// separators stand before the first field and before each other field.
var separators = [...]string{`,"fields":[`, ","}

// Failure returns the reply for err: the code, word, text, fields and data of an *Error that err is or wraps, otherwise
// result 1 with the text of err. The reply of a failure has no arguments. Failure(r.Err()) is the failed reply r with what it has as
// arguments moved to the error's data.
func Failure(err error) Reply {
	var e Error
	if own, ok := errors.AsType[*Error](err); ok {
		e = *own
	} else {
		e.Text = err.Error()
	}
	if e.Code == CodeSuccess { // no code was set
		e.Code = CodeError
	}
	e.Word = e.word()
	if e.Text == "" { // Kea: no failure without a text
		e.Text = e.Word
	}
	e.Text = strings.ToValidUTF8(e.Text, "\ufffd")
	if e.Code == CodeEmpty {
		return Reply{Code: e.Code, Text: e.Text, Arguments: e.Data}
	}
	return Reply{Code: e.Code, Text: e.Text, Error: &e}
}
