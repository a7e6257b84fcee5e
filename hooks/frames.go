package hooks

import (
	"errors"
	"fmt"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// protocolVersion is what hello says. A process that knows another refuses.
const protocolVersion = 1

// What is said on the pipes. Each frame has one of the members hello, introduce, refuse, id, call, cancel
// and log, which says what it is.
type (
	// A greeting is the first frame to a process.
	greeting struct {
		Hello hello `json:"hello"`
	}
	hello struct {
		Version    int        `json:"version"`
		Name       string     `json:"name"`
		Parameters wire.Value `json:"parameters"`
	}

	// A request asks a process to run one of its commands.
	request struct {
		ID        int64      `json:"id"`
		Command   string     `json:"command"`
		Arguments wire.Value `json:"arguments,omitempty"`
		Peer      caller     `json:"peer"`
		Timeout   float64    `json:"timeout"`
	}
	caller struct {
		Subjects  []string `json:"subjects"`
		Transport string   `json:"transport"`
		Session   string   `json:"session,omitempty"`
		Address   string   `json:"address,omitempty"`
		Listener  string   `json:"listener,omitempty"`
	}

	// A cancellation says that nobody waits for a request any more.
	cancellation struct {
		Cancel int64 `json:"cancel"`
	}

	// An answer is the reply to a call back.
	answer struct {
		Call      wire.ID     `json:"call"`
		Result    wire.Code   `json:"result"`
		Text      string      `json:"text,omitempty"`
		Arguments any         `json:"arguments,omitzero"`
		Error     *wire.Error `json:"error,omitzero"`
	}

	// A failure is the member `error` of a failed reply from a process.
	failure struct {
		Code   string       `json:"code"`
		Fields []wire.Field `json:"fields"`
		Data   wire.Value   `json:"data"`
	}

	// A said is any frame from a process.
	said struct {
		Introduce *introduction `json:"introduce"`
		Refuse    *string       `json:"refuse"`
		ID        *int64        `json:"id"`
		Result    *wire.Code    `json:"result"`
		Text      string        `json:"text"`
		Arguments wire.Value    `json:"arguments"`
		Error     *failure      `json:"error"`
		Call      *wire.ID      `json:"call"`
		For       int64         `json:"for"`
		Command   string        `json:"command"`
		Log       *string       `json:"log"`
	}
)

// encode makes a frame. What comes from callers is JSON already, and is written without white space. It
// fails where the daemon itself has given arguments that are none.
func encode(frame any) ([]byte, error) {
	return json.Marshal(frame, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

func callerOf(call *mgr.Call) caller {
	c := caller{Subjects: []string{}, Transport: call.Peer.Transport, Session: call.Peer.Session}
	for _, cred := range call.Peer.Creds {
		c.Subjects = append(c.Subjects, cred.Subject())
	}
	if call.Peer.Addr != nil {
		c.Address = call.Peer.Addr.String()
	}
	if call.Via != nil {
		c.Listener = call.Via.Name
	}
	return c
}

// decode reads a frame from a process strictly.
func decode(frame []byte) (*said, error) {
	s := new(said)
	if err := wire.Value(frame).Decode(s); err != nil {
		return nil, fmt.Errorf("it wrote a frame that is none of the protocol: %w", err)
	}
	kinds := 0
	for _, is := range []bool{s.Introduce != nil, s.Refuse != nil, s.ID != nil, s.Call != nil, s.Log != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return nil, errors.New("it wrote a frame that has not exactly one of introduce, refuse, id, call and log")
	case s.ID != nil && s.Result == nil:
		return nil, fmt.Errorf("its reply to %d has no result", *s.ID)
	case s.Call != nil && s.Call.IsZero():
		return nil, errors.New("it wrote a call without an id")
	case s.Call != nil && s.Arguments != nil && !s.Arguments.Valid():
		return nil, fmt.Errorf("the arguments of its call %s are no JSON that a client may send", s.Call)
	}
	return s, nil
}
