package mgr

import (
	"context"
	"slices"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"
)

// registerBuiltin adds the commands that every manager has. They cannot be removed or replaced.
func (m *CommandMgr) registerBuiltin() {
	builtin := []Command{
		m.listCommands(),
		Func("describe-command", "Describe a command: what it does, the access that it needs, its arguments and its result.", Read, m.describeCommand,
			Example(`{"command":"list-commands"}`)),
		Func("whoami", "Return your identity, as the daemon has verified it.", Read, m.whoami),
		Async(cancelName, "Cancel a command in flight on the same conn, by its id.", Read, m.cancel,
			Example(`{"id":7}`)),
	}
	if err := m.Register(builtin...); err != nil {
		panic(err) // the list above is wrong
	}
	for _, cmd := range builtin {
		(*m.table.Load())[cmd.Name].builtin = true
	}
}

// listCommands returns list-commands. It makes the list in the step that checks the arguments of other commands. That step
// runs off the loop, where the Authorizer may be called.
func (m *CommandMgr) listCommands() Command {
	cmd := Func[None, []string]("list-commands", "List the names of the commands that you may run.", Read,
		func(ctx context.Context, _ None) ([]string, error) {
			call, _ := CallOf(ctx)
			names, _ := call.input.([]string)
			return names, nil
		}, AnyArguments())
	cmd.check = func(call *Call) (any, error) { return m.listFor(call), nil }
	return cmd
}

// listFor returns the sorted names of the commands that the peer of caller may run, with at least some arguments.
func (m *CommandMgr) listFor(caller *Call) []string {
	names := []string{}
	for name, cmd := range *m.table.Load() {
		call := &Call{
			Name: name, Command: &cmd.Command, Peer: caller.Peer, Via: caller.Via, Received: caller.Received, Listing: true,
			manager: m, target: cmd,
		}
		if m.authorize(call) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type describeIn struct {
	Command string `json:"command" doc:"The command's name."`
}

type description struct {
	Name     string         `json:"name"`
	Summary  string         `json:"summary"`
	Access   string         `json:"access" schema:"enum=read|write|admin"`
	OnLoop   bool           `json:"on-loop" doc:"true: it runs on the daemon's loop, after the commands before it, and cannot be cancelled once it runs; false: off the loop."`
	Owner    string         `json:"owner,omitempty" doc:"The hook library that it belongs to; missing: the daemon itself."`
	Args     *schema.Schema `json:"arguments,omitempty" doc:"A JSON Schema; missing: any arguments are accepted."`
	Returns  *schema.Schema `json:"returns,omitempty" doc:"A JSON Schema of a success's arguments; missing: there are none, or the command declares none."`
	Examples []string       `json:"examples,omitempty" doc:"Arguments that work, in JSON."`
}

func (m *CommandMgr) describeCommand(_ context.Context, in describeIn) (description, error) {
	cmd := m.lookup(in.Command)
	if cmd == m.unknown {
		return description{}, wire.Errorf(wire.CodeEmpty, "", "there is no command '%s'; list-commands names all", wire.Shorten(in.Command))
	}
	return description{cmd.Name, cmd.Summary, cmd.Level.String(), !cmd.Async, cmd.Owner, cmd.Args, cmd.Returns, cmd.Examples}, nil
}

type identity struct {
	Subjects  []string `json:"subjects" doc:"The subjects that you have proven."`
	Transport string   `json:"transport"`
	Session   string   `json:"session" doc:"The session: the connection that carries this conn."`
	Address   string   `json:"address,omitempty"`
	Listener  string   `json:"listener,omitempty" doc:"The name of the listener that accepted this conn."`
}

func (m *CommandMgr) whoami(ctx context.Context, _ None) (identity, error) {
	call, _ := CallOf(ctx)
	peer := call.Peer
	id := identity{Subjects: []string{}, Transport: peer.Transport, Session: peer.Session}
	for _, cred := range peer.Creds {
		id.Subjects = append(id.Subjects, cred.Subject())
	}
	if peer.Addr != nil {
		id.Address = peer.Addr.String()
	}
	if call.Via != nil {
		id.Listener = call.Via.Name
	}
	return id, nil
}

const cancelName = "cancel"

type cancelIn struct {
	ID wire.ID `json:"id" doc:"The id of the command to cancel."`
}

// cancel ends the context of a call in flight on the same conn. A call that still waits for the loop never runs.
func (m *CommandMgr) cancel(ctx context.Context, in cancelIn) (Result[None], error) {
	call, _ := CallOf(ctx)
	none := Result[None]{Code: wire.CodeEmpty, Text: "no command with that id is in flight on this conn"}
	c, ok := call.sink.(*conn)
	if !ok {
		return none, nil
	}
	c.mu.Lock()
	found := c.findLocked(in.ID)
	c.mu.Unlock()
	if found == nil || found == call || found.state.Load() == admitted { // admitted: the client sent the cancel before that call
		return none, nil
	}
	if found.canceller != nil {
		found.canceller.cancel(errCancelled)
	}
	if !found.drop(&wire.Error{Code: wire.CodeCancelled, Text: "cancelled"}, false) && found.canceller == nil {
		return Result[None]{Code: wire.CodeConflict, Text: "it is running on the loop and cannot be cancelled any more"}, nil
	}
	return Result[None]{Text: "Cancelled."}, nil
}
