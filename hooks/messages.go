package hooks

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// protocolVersion is the version in hello. A process with another version refuses.
const protocolVersion = 1

// The frames on the pipes. Each frame has exactly one of the members hello, introduce, refuse, id, call, cancel and
// log, which is its kind. docs/reference/hooks.md describes them.
type (
	// A helloFrame is the first frame to a process.
	helloFrame struct {
		Hello hello `json:"hello"`
	}
	hello struct {
		Version    int        `json:"version"`
		Name       string     `json:"name"`
		Parameters wire.Value `json:"parameters"`
	}

	// A requestFrame asks a process to run one of its commands.
	requestFrame struct {
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

	// A cancelFrame tells a process that the caller of a request does not wait any more.
	cancelFrame struct {
		Cancel int64 `json:"cancel"`
	}

	// A callbackReplyFrame is the reply to a callback.
	callbackReplyFrame struct {
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

	// A message is any frame from a process.
	message struct {
		Introduce *registration `json:"introduce"`
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

// encode encodes a frame without white space. It fails if the daemon itself has passed arguments that are not valid
// JSON.
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

// decode decodes a frame from a process. It refuses unknown members and combinations that the protocol does not allow.
func decode(frame []byte) (*message, error) {
	s := new(message)
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

// A registration is the member introduce: the commands that a process adds.
type registration struct {
	Commands []registeredCommand `json:"commands"`
}

type registeredCommand struct {
	Name      string       `json:"name"`
	Summary   string       `json:"summary"`
	Access    string       `json:"access"`
	Arguments wire.Value   `json:"arguments,omitempty"`
	Returns   wire.Value   `json:"returns,omitempty"`
	Examples  []wire.Value `json:"examples,omitempty"`
}

const (
	maxCommands = 256  // commands of one process
	maxSummary  = 1024 // bytes of a summary
)

// commands returns the commands of a registration. handler makes the handler of each.
func (in *registration) commands(owner string, handler func(cmd *mgr.Command) mgr.Handler) ([]*mgr.Command, error) {
	if len(in.Commands) > maxCommands {
		return nil, fmt.Errorf("it introduces %d commands, and %d are the most", len(in.Commands), maxCommands)
	}
	var commands []*mgr.Command
	var errs []error
	for _, each := range in.Commands {
		cmd, err := each.command(owner)
		if err != nil {
			errs = append(errs, fmt.Errorf("command '%s': %w", wire.Shorten(each.Name), err))
			continue
		}
		cmd.Handler = handler(cmd)
		commands = append(commands, cmd)
	}
	return commands, errors.Join(errs...)
}

func (in *registeredCommand) command(owner string) (*mgr.Command, error) {
	cmd := mgr.Command{Name: in.Name, Summary: in.Summary, Owner: owner, Async: true}
	var ok bool
	if cmd.Level, ok = mgr.ParseLevel(in.Access); !ok {
		return nil, fmt.Errorf("its access is '%s'; it must be read, write or admin", wire.Shorten(in.Access))
	}
	if len(in.Summary) > maxSummary {
		return nil, fmt.Errorf("its summary has more than %d bytes", maxSummary)
	}
	if strings.ContainsFunc(in.Summary, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return nil, fmt.Errorf("its summary %+q has a character that cannot be printed", in.Summary)
	}
	var err error
	if in.Arguments != nil {
		if cmd.Args, err = schema.Parse(in.Arguments); err != nil {
			return nil, fmt.Errorf("its arguments: %w", err)
		}
	}
	if in.Returns != nil {
		if cmd.Returns, err = schema.Parse(in.Returns); err != nil {
			return nil, fmt.Errorf("what it returns: %w", err)
		}
	}
	for _, example := range in.Examples {
		cmd.Examples = append(cmd.Examples, string(example))
	}
	cmd = cmd.Checked()
	return &cmd, nil
}

// reply converts the reply of a process to the reply for the caller. It returns an error if the process must not
// reply so. Arguments of a failure become the data of the error, unless the process sends data too.
func (m *message) reply() (wire.Reply, error) {
	code := *m.Result
	switch {
	case code < 0:
		return wire.Reply{}, errors.New("a result below 0")
	case m.Error != nil && !code.Failed():
		return wire.Reply{}, fmt.Errorf("an error with the result %d, which is no failure", code)
	}
	arguments, err := parseArguments(m.Arguments)
	if err != nil {
		return wire.Reply{}, err
	}
	if !code.Failed() {
		return wire.Reply{Code: code, Text: m.Text, Arguments: arguments}, nil
	}
	e := &wire.Error{Code: code, Text: m.Text, Data: arguments}
	if f := m.Error; f != nil {
		if f.Code != "" && !wire.ValidName(f.Code) {
			return wire.Reply{}, fmt.Errorf("an error code that does not match %s or has more than %d bytes", wire.NamePattern, wire.MaxName)
		}
		e.Word, e.Fields = f.Code, f.Fields
		if f.Data != nil && arguments != nil {
			return wire.Reply{}, errors.New("a failure with arguments and error.data; one of them is enough")
		}
		if f.Data != nil {
			if e.Data, err = parseArguments(f.Data); err != nil {
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

// parseArguments returns the arguments of a process as a wire.Raw, or nil if it has sent none.
func parseArguments(v wire.Value) (any, error) {
	if v == nil {
		return nil, nil //nolint:nilnil // nil stands for no arguments in a wire.Reply
	}
	raw, err := wire.ParseRaw(v)
	if err != nil {
		return nil, err
	}
	return raw, nil
}

// encodeCallbackReply encodes the reply to a callback. reply.Arguments, and the data of its error, are a wire.Raw or
// nil.
func encodeCallbackReply(m *message, reply wire.Reply) []byte {
	frame, _ := encode(callbackReplyFrame{*m.Call, reply.Code, reply.Text, reply.Arguments, reply.Error})
	return frame
}
