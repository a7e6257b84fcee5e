package mgr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Layer has the commands and the middleware of all hook libraries together. SetLayer puts it over the daemon's own commands.
type Layer struct {
	// Commands are added; each has an Owner. Their pointers identify them: a command that the previous layer also had stays
	// registered, and its queued calls still run.
	Commands []*Command

	// Overrides maps the name of a native command to the Owner whose command of the same name may override it. The native
	// command is back in force when the layer is replaced.
	Overrides map[string]string

	// Middleware wraps the handlers of all commands, like the middleware of Use. The first is the outermost. All are inside
	// the middleware of Use.
	Middleware []func(next Handler) Handler
}

// SetLayer replaces the layer in one step. If it returns an error, nothing has changed. It does not block for calls. If it is
// called on the loop, all calls on the loop run either before or after it. A call off the loop may meanwhile run a command of
// one layer inside the middleware of the other.
//
// A queued call of a command that the new layer does not have is answered with result 2. A call that runs is not disturbed.
//
// SetLayer calls the functions of Middleware as Use does. It returns an error if one of them panics.
func (m *CommandMgr) SetLayer(layer Layer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in middleware while it wrapped a command: %v", v)
		}
	}()
	return m.change(func(set commandSet) (commandSet, []*registered, error) {
		next, err := m.withLayer(set, layer)
		return next, append(next.all(), m.unknown), err
	})
}

// CheckLayer returns the error that SetLayer would return now, or nil. It changes nothing.
func (m *CommandMgr) CheckLayer(layer Layer) error {
	m.mu.Lock()
	set := m.commands
	m.mu.Unlock()
	_, err := m.withLayer(set, layer)
	return err
}

// withLayer returns the command set with another layer.
func (m *CommandMgr) withLayer(set commandSet, layer Layer) (commandSet, error) {
	next := commandSet{table: set.native(), covered: table{}, layer: layer, middleware: set.middleware}
	var errs []error
	for _, cmd := range layer.Commands {
		bad := cmd.valid()
		if bad == nil && cmd.Owner == "" {
			bad = errors.New("it has no owner; the commands of the daemon itself are given to Register")
		}
		if below := next.table[cmd.Name]; bad == nil && below != nil {
			if bad = layer.checkOverride(cmd, below); bad == nil {
				next.covered[cmd.Name] = below
			}
		}
		if bad != nil {
			errs = append(errs, fmt.Errorf("command '%s' of '%s': %w", cmd.Name, cmd.Owner, bad))
			continue
		}
		if have := set.table[cmd.Name]; have != nil && have.origin == cmd {
			next.table[cmd.Name] = have
		} else {
			next.table[cmd.Name] = &registered{Command: *cmd, origin: cmd, critical: cmd.Critical && m.opts.Critical != nil}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(layer.Overrides)) {
		if next.covered[name] == nil && len(errs) == 0 {
			errs = append(errs, fmt.Errorf("'%s' overrides '%s', and has no such command, or there is none to override", layer.Overrides[name], name))
		}
	}
	return next, errors.Join(errs...)
}

// native returns the commands of the set without those of the layer.
func (s *commandSet) native() table {
	native := maps.Clone(s.table)
	maps.DeleteFunc(native, func(_ string, cmd *registered) bool { return cmd.origin != nil })
	maps.Copy(native, s.covered)
	return native
}

// checkOverride returns the error for which cmd cannot override below, or nil.
func (l *Layer) checkOverride(cmd *Command, below *registered) error {
	switch {
	case below.origin != nil:
		return fmt.Errorf("Handler for command '%s' is already installed, by '%s'.", cmd.Name, below.Owner)
	case below.builtin:
		return fmt.Errorf("Handler for command '%s' is already installed, and no hook library can override it.", cmd.Name)
	case l.Overrides[cmd.Name] != cmd.Owner:
		return fmt.Errorf("Handler for command '%s' is already installed. Only an override by name covers it.", cmd.Name)
	case cmd.Level < below.Level:
		return fmt.Errorf("it asks for %s access only, and what it overrides for %s", cmd.Level, below.Level)
	}
	return nil
}
