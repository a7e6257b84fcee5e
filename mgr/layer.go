package mgr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A Layer is what hook libraries put over the daemon's own commands, all of them together.
type Layer struct {
	// Commands are added; each has an Owner. They are known by their pointers: one that the layer
	// before had too stays as it is, and calls of it that wait for their turn still run.
	Commands []*Command

	// Overrides says which native commands the ones of the same name cover, and who may: the Owner,
	// by the command's name. The native one comes back when the layer goes.
	Overrides map[string]string

	// Middleware wraps the handlers of all commands as that of Use does: the first is the outermost, and all are inside of
	// the middleware that Use has added.
	Middleware []func(next Handler) Handler
}

// SetLayer replaces the layer: all of it in one step, or, when the error says why not, nothing. It does
// not wait. Called on the loop it comes between two calls there; what runs beside the loop meanwhile may
// see a command of the one layer inside the middleware of the other.
//
// A call that waits for a command that the new layer does not have is answered with result 2; one that
// runs is not disturbed.
//
// The functions of Middleware are called as Use says. A panic in one is an error.
func (m *CommandMgr) SetLayer(layer Layer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in middleware while it wrapped a command: %v", v)
		}
	}()
	return m.change(func(set commandSet) (commandSet, []*registered, error) {
		next, err := m.overlaid(set, layer)
		return next, append(next.all(), m.unknown), err
	})
}

// CheckLayer returns the error that SetLayer would return at this moment. It changes nothing.
func (m *CommandMgr) CheckLayer(layer Layer) error {
	m.mu.Lock()
	set := m.commands
	m.mu.Unlock()
	_, err := m.overlaid(set, layer)
	return err
}

// overlaid returns a command set with another layer.
func (m *CommandMgr) overlaid(set commandSet, layer Layer) (commandSet, error) {
	next := commandSet{table: set.native(), covered: table{}, layer: layer, middleware: set.middleware}
	var errs []error
	for _, cmd := range layer.Commands {
		bad := cmd.valid()
		if bad == nil && cmd.Owner == "" {
			bad = errors.New("it has no owner; the commands of the daemon itself are given to Register")
		}
		if below := next.table[cmd.Name]; bad == nil && below != nil {
			if bad = layer.mayCover(cmd, below); bad == nil {
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

// native returns the table without a layer.
func (s *commandSet) native() table {
	native := maps.Clone(s.table)
	maps.DeleteFunc(native, func(_ string, cmd *registered) bool { return cmd.origin != nil })
	maps.Copy(native, s.covered)
	return native
}

// mayCover says why a command cannot be put over another.
func (l *Layer) mayCover(cmd *Command, below *registered) error {
	switch {
	case below.origin != nil:
		return fmt.Errorf("Handler for command '%s' is already installed, by '%s'.", cmd.Name, below.Owner)
	case below.builtin:
		return fmt.Errorf("Handler for command '%s' is already installed, and nobody can override it.", cmd.Name)
	case l.Overrides[cmd.Name] != cmd.Owner:
		return fmt.Errorf("Handler for command '%s' is already installed. Only an override by name covers it.", cmd.Name)
	case cmd.Level < below.Level:
		return fmt.Errorf("it asks for %s access only, and what it overrides for %s", cmd.Level, below.Level)
	}
	return nil
}
