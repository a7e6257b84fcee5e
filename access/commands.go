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

// Commands returns the command access-explain, for registration with m. It says whether a principal may run a command
// of m, and by which rule of policy. Its level is admin, since it returns rules. It runs off the loop.
func Commands(policy *Policy, m *mgr.CommandMgr) []mgr.Command {
	return []mgr.Command{
		mgr.Async("access-explain", "Say whether a principal may run a command with these arguments, and by which rule.", mgr.Admin,
			func(_ context.Context, in explainIn) (explanation, error) { return explain(policy, m, in) },
			mgr.Example(`{"principal":"uid:1000","command":"list-commands"}`),
			mgr.Example(`{"principal":["uid:1000","gid:27","socket-group"],"command":"config-get","listener":"/run/control.sock"}`)),
	}
}

type explainIn struct {
	Principal subjectList `json:"principal" doc:"The proven credentials of the caller: a subject such as uid:1000, or a list of subjects. A user of the system also has a gid: subject for each group, and socket-group if it is in the group of the socket."`
	Command   string      `json:"command" doc:"The command, whether it exists or not."`
	Arguments wire.Value  `json:"arguments,omitzero" doc:"Its arguments; missing: none."`
	Listener  string      `json:"listener,omitzero" doc:"The name of the listener that the caller uses; missing: a listener without a max-access."`
}

type explanation struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule" doc:"The rule that decides, in words."`
	Role    string `json:"role,omitzero" doc:"The role that decides; missing: no role does."`
	Access  string `json:"access" doc:"The access that the command asks for." schema:"enum=read|write|admin"`
	Exists  bool   `json:"exists" doc:"Whether the command exists. A command that does not exist asks for read access; a caller that may run it gets the error that it does not exist."`
}

// explain decides about the call that in describes.
func explain(policy *Policy, m *mgr.CommandMgr, in explainIn) (explanation, error) {
	call := &mgr.Call{Name: in.Command, Arguments: in.Arguments}
	var err error
	if call.Peer.Creds, err = policy.assumed(in.Principal); err != nil {
		return explanation{}, err
	}
	if call.Via, err = endpoint(m, in.Listener); err != nil {
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

// endpoint returns the listener of a name, or nil for the empty name.
func endpoint(m *mgr.CommandMgr, name string) (*mgr.ListenerConfig, error) {
	if name == "" {
		return nil, nil
	}
	var names []string
	for _, e := range m.Listeners() {
		if e.Name == name {
			return &e, nil
		}
		names = append(names, e.Name)
	}
	return nil, fmt.Errorf("there is no listener %q; the listeners are %s", wire.Shorten(name), strings.Join(names, ", "))
}

// assumed makes unproven credentials of subjects, so that access-explain can decide as if a peer had proven them.
func (p *Policy) assumed(subjects []string) ([]transport.Credential, error) {
	kinds := p.ruleset.Load().kinds
	creds := make([]transport.Credential, len(subjects))
	for i, subject := range subjects {
		if err := checkSubject(subject, kinds); err != nil {
			return nil, fmt.Errorf("principal %q: %w", wire.Shorten(subject), err)
		}
		kind, name, _ := strings.Cut(subject, ":")
		switch kind {
		case "user": // the credential that the user would prove now
			creds[i] = secrets.User{Name: name}
		case "token":
			creds[i] = secrets.Token{ID: name}
		default:
			creds[i] = assumed(subject)
		}
	}
	return creds, nil
}

// assumed is a credential that was not proven.
type assumed string

// Subject implements transport.Credential.
func (a assumed) Subject() string { return string(a) }

// A subjectList is a list of subjects. In JSON it may also be one string.
type subjectList []string

// UnmarshalJSON decodes a string or a list of strings.
func (s *subjectList) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = subjectList{one}
		return nil
	}
	if json.Unmarshal(text, (*[]string)(s)) != nil {
		return errors.New("a subject such as \"uid:1000\", or a list of subjects")
	}
	return nil
}

// JSONSchema implements schema.Schemer. The types of a schema cannot express the two forms.
func (subjectList) JSONSchema() *schema.Schema { return &schema.Schema{} }
