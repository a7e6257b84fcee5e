package wire

import (
	"errors"
	"fmt"
	"strings"
)

// An Error is a failed command as its caller sees it. A handler returns one to choose the result
// and the words; any other error becomes result 1 with its text.
type Error struct {
	Code   Code    // the reply's result; 0 is taken for CodeError
	Word   string  // a stable word for programs, "bad-arguments"; "": the code's own
	Text   string  // for people: what, where, and what to do next
	Fields []Field // the arguments at fault, if it was them
}

// A Field is one argument at fault.
type Field struct {
	Pointer string `json:"pointer"` // its JSON pointer (RFC 6901) inside the arguments
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

// errorArguments is what a failed command's reply has as arguments.
type errorArguments struct {
	Error errorDetails `json:"error"`
}

type errorDetails struct {
	Code   string  `json:"code"`
	Fields []Field `json:"fields,omitempty"`
}

// Failure returns the reply that tells err: its own code and words when it is, or wraps, an *Error,
// otherwise result 1 and its text.
func Failure(err error) Reply {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Code: CodeError, Text: err.Error()}
	}
	if e.Code == CodeSuccess { // forgotten; a failure is no success
		failed := *e
		failed.Code = CodeError
		e = &failed
	}
	text := e.Text
	if text == "" { // Kea: no failure without a text
		text = e.word()
	}
	return Reply{
		Code:      e.Code,
		Text:      strings.ToValidUTF8(text, "\ufffd"),
		Arguments: errorArguments{errorDetails{e.word(), e.Fields}},
	}
}
