package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// Commands returns access-explain: may somebody run a command of m, and by which rule of the policy? It
// is for administrators, since it tells rules.
func Commands(policy *Policy, m *mgr.CommandMgr) []mgr.Command {
	return []mgr.Command{
		mgr.Async("access-explain", "Say whether a principal may run a command with these arguments, and by which rule.", mgr.Admin,
			func(_ context.Context, in explainIn) (explanation, error) { return explain(policy, m, in) },
			mgr.Example(`{"principal":"uid:1000","command":"list-commands"}`),
			mgr.Example(`{"principal":["uid:1000","gid:27","socket-group"],"command":"config-get","listener":"/run/control.sock"}`)),
	}
}

type explainIn struct {
	Principal subjectList `json:"principal" doc:"What is proven about the caller: a subject such as uid:1000, or a list of them. A user of the system has a gid: for each group as well, and socket-group in that of the socket."`
	Command   string      `json:"command" doc:"The command, whether it exists or not."`
	Arguments wire.Value  `json:"arguments,omitzero" doc:"Its arguments; missing: none."`
	Listener  string      `json:"listener,omitzero" doc:"Which way in the caller takes, by its name; missing: one without a ceiling."`
}

type explanation struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule" doc:"What decides, in words."`
	Role    string `json:"role,omitzero" doc:"The role that decides; missing: none does."`
	Access  string `json:"access" doc:"What the command asks for." schema:"enum=read|write|admin"`
	Exists  bool   `json:"exists" doc:"Whether there is such a command. One that there is not asks for read access, and whoever may run it is told that there is none."`
}

// explain decides the call that a caller described would make.
func explain(policy *Policy, m *mgr.CommandMgr, in explainIn) (explanation, error) {
	call := &mgr.Call{Name: in.Command, Arguments: in.Arguments}
	var err error
	if call.Peer.Creds, err = policy.given(in.Principal); err != nil {
		return explanation{}, err
	}
	if call.Via, err = wayIn(m, in.Listener); err != nil {
		return explanation{}, err
	}
	for _, c := range m.Commands() {
		if c.Name == in.Command {
			call.Command = &c
		}
	}
	is := explanation{Access: call.Asks().String(), Exists: call.Command != nil}
	if tooHigh := call.TooHigh(); tooHigh != nil {
		is.Rule = tooHigh.Text
		return is, nil
	}
	d := policy.Explain(call)
	is.Allowed, is.Rule, is.Role = d.Allowed, d.Rule, d.Role
	return is, nil
}

// wayIn finds a way in by its name. No name is none, which has no ceiling.
func wayIn(m *mgr.CommandMgr, name string) (*mgr.Endpoint, error) {
	if name == "" {
		return nil, nil
	}
	var names []string
	for _, e := range m.Endpoints() {
		if e.Name == name {
			return &e, nil
		}
		names = append(names, e.Name)
	}
	return nil, fmt.Errorf("there is no listener %q; there are %s", wire.Shorten(name), strings.Join(names, ", "))
}

// given makes credentials of subjects that nobody has proven, to ask what would be if somebody had.
func (p *Policy) given(subjects []string) ([]transport.Credential, error) {
	kinds := p.law.Load().kinds
	creds := make([]transport.Credential, len(subjects))
	for i, subject := range subjects {
		if err := checkSubject(subject, kinds); err != nil {
			return nil, fmt.Errorf("principal %q: %w", wire.Shorten(subject), err)
		}
		kind, name, _ := strings.Cut(subject, ":")
		switch kind {
		case "user": // as the file has them
			creds[i] = secrets.User{Name: name}
		case "token":
			creds[i] = secrets.Token{ID: name}
		default:
			creds[i] = claimed(subject)
		}
	}
	return creds, nil
}

// claimed is a subject that nobody has proven.
type claimed string

// Subject implements transport.Credential.
func (c claimed) Subject() string { return string(c) }

// A subjectList is a list of subjects, or one of them.
type subjectList []string

// UnmarshalJSON takes both.
func (s *subjectList) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = subjectList{one}
		return nil
	}
	if json.Unmarshal(text, (*[]string)(s)) != nil {
		return errors.New("a subject such as \"uid:1000\", or a list of them")
	}
	return nil
}

// JSONSchema implements schema.Schemer. That there are two forms the types of a schema cannot say.
func (subjectList) JSONSchema() *schema.Schema { return &schema.Schema{} }
