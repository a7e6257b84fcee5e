package hooks

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/rudderpost/rudderpost/wire"
)

// wordRule is what a process may send as the code of an error.
var wordRule = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// maxWord is the longest code of an error, in bytes.
const maxWord = 64

// reply returns a process's reply to a call as the caller gets it. The error says why the caller cannot get it. What
// the process sends as arguments of a failure is the data of the error, unless the process sends that too.
func (s *said) reply() (wire.Reply, error) {
	code := *s.Result
	switch {
	case code < 0:
		return wire.Reply{}, errors.New("a result below 0")
	case s.Error != nil && !code.Failed():
		return wire.Reply{}, fmt.Errorf("an error with the result %d, which is no failure", code)
	}
	arguments, err := parseGiven(s.Arguments)
	if err != nil {
		return wire.Reply{}, err
	}
	if !code.Failed() {
		return wire.Reply{Code: code, Text: s.Text, Arguments: arguments}, nil
	}
	e := &wire.Error{Code: code, Text: s.Text, Data: arguments}
	if f := s.Error; f != nil {
		if f.Code != "" && (!wordRule.MatchString(f.Code) || len(f.Code) > maxWord) {
			return wire.Reply{}, fmt.Errorf("an error code that does not match %s or has more than %d bytes", wordRule, maxWord)
		}
		e.Word, e.Fields = f.Code, f.Fields
		if f.Data != nil && arguments != nil {
			return wire.Reply{}, errors.New("a failure with arguments and error.data; one of them is enough")
		}
		if f.Data != nil {
			if e.Data, err = parseGiven(f.Data); err != nil {
				return wire.Reply{}, err
			}
		}
	}
	reply := wire.Failure(e)
	if _, err := wire.AppendReply(nil, reply); err != nil { // its data may have one level less than arguments
		return wire.Reply{}, err
	}
	return reply, nil
}

// parseGiven returns what a process sent as a wire.Raw, and nil where it sent nothing.
func parseGiven(v wire.Value) (any, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // nil stands for no arguments in a wire.Reply
	}
	raw, err := wire.ParseRaw(v)
	if err != nil {
		return nil, err
	}
	return raw, nil
}
