package mgr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/wire"
)

// A registered command is one in the table, until it is deregistered.
type registered struct {
	Command
	builtin  bool
	critical bool     // it runs inside Options.Critical
	origin   *Command // what it was made of, if it is one of a layer
	gone     atomic.Bool
	long     atomic.Bool             // its last reply was long
	handler  atomic.Pointer[Handler] // Command.Handler with all hooks around it
}

// A table is what the daemon can be asked to do. It is replaced, never changed.
type table map[string]*registered

// Register adds commands: all of them, or, when one cannot be registered, none. The error names each
// that is at fault. Names are taken once (Kea's rule). Every result but 0 and 3 is a failure, and the reply of a failure
// has no arguments: what the command's handler returns as arguments then becomes the data of the reply's error (Handler).
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

// Deregister removes a command. A call that still waits for its turn is answered with result 2; one
// that runs is not disturbed. Built-in commands stay (Kea's rule).
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

// Commands returns what is registered, sorted by name.
func (m *CommandMgr) Commands() []Command {
	t := *m.table.Load()
	commands := make([]Command, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		commands = append(commands, t[name].Command)
	}
	return commands
}

// lookup returns the command of that name; where there is none, one that says so.
func (m *CommandMgr) lookup(name string) *registered {
	if cmd, ok := (*m.table.Load())[name]; ok {
		return cmd
	}
	return m.unknown
}

// unsupported answers calls of commands that do not exist.
func unsupported(name string) error {
	return wire.Errorf(wire.CodeUnsupported, "", "'%s' command not supported.", wire.Shorten(name))
}
