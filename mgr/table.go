package mgr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/wire"
)

// A registered is a command in the table, until it is deregistered.
type registered struct {
	Command
	builtin  bool
	critical bool     // the command runs inside Options.Critical
	origin   *Command // the command of the layer that this was made of, or nil
	gone     atomic.Bool
	long     atomic.Bool             // the last reply was long
	handler  atomic.Pointer[Handler] // Command.Handler inside all middleware
}

// A table has the commands by name. It is immutable; a change replaces it.
type table map[string]*registered

// Register adds commands: all of them, or none if it returns an error. The error names each command that cannot be registered.
// A name can be registered once (Kea's rule). Register may be called at any time; it does not wait for calls.
func (m *CommandMgr) Register(commands ...Command) error {
	return m.change(func(set commandSet) (commandSet, []*registered, error) {
		set.table = maps.Clone(set.table)
		if set.table == nil {
			set.table = table{}
		}
		var added []*registered
		var errs []error
		for _, cmd := range commands {
			if err := cmd.valid(); err != nil {
				errs = append(errs, fmt.Errorf("command '%s': %w", cmd.Name, err))
				continue
			}
			if _, taken := set.table[cmd.Name]; taken {
				errs = append(errs, fmt.Errorf("Handler for command '%s' is already installed.", cmd.Name))
				continue
			}
			r := &registered{Command: cmd, critical: cmd.Critical && m.opts.Critical != nil}
			set.table[cmd.Name] = r
			added = append(added, r)
		}
		return set, added, errors.Join(errs...)
	})
}

// Deregister removes a command. A queued call of it is answered with result 2; a call that runs is not disturbed. Built-in
// commands cannot be removed (Kea's rule).
func (m *CommandMgr) Deregister(name string) error {
	return m.change(func(set commandSet) (commandSet, []*registered, error) {
		cmd, ok := set.table[name]
		switch {
		case !ok:
			return set, nil, fmt.Errorf("Handler for command '%s' not found.", name) // Kea's words
		case cmd.origin != nil:
			if set.covered[name] == nil {
				return set, nil, fmt.Errorf("Can't uninstall command '%s': it belongs to '%s'", name, cmd.Owner)
			}
			set.covered = maps.Clone(set.covered)
			delete(set.covered, name)
			return set, nil, nil
		case cmd.builtin:
			return set, nil, fmt.Errorf("Can't uninstall internal command '%s'", name) // Kea's words
		}
		set.table = maps.Clone(set.table)
		delete(set.table, name)
		return set, nil, nil
	})
}

// Commands returns copies of the registered commands, sorted by name.
func (m *CommandMgr) Commands() []Command {
	t := *m.table.Load()
	commands := make([]Command, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		commands = append(commands, t[name].Command)
	}
	return commands
}

// lookup returns the command with a name. If there is none, it returns m.unknown, whose handler returns result 2.
func (m *CommandMgr) lookup(name string) *registered {
	if cmd, ok := (*m.table.Load())[name]; ok {
		return cmd
	}
	return m.unknown
}

// unsupported returns the reply to a command that does not exist. The text is Kea's.
func unsupported(name string) error {
	return wire.Errorf(wire.CodeUnsupported, "", "'%s' command not supported.", wire.Shorten(name))
}
