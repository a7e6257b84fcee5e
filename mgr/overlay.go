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

	// Hooks are put around all calls as by Hook: the first is the outermost, and all are inside of
	// those that Hook has added.
	Hooks []func(next Handler) Handler
}

// Overlay replaces the layer: all of it in one step, or, when the error says why not, nothing. It does
// not wait. Called on the loop it comes between two calls there; what runs beside the loop meanwhile may
// see a command of the one layer inside hooks of the other.
//
// A call that waits for a command that the new layer does not have is answered with result 2; one that
// runs is not disturbed.
func (m *CommandMgr) Overlay(layer Layer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, covered, err := m.overlaid(layer)
	if err != nil {
		return err
	}
	handlers, err := m.rewrapped(next, layer)
	if err != nil {
		return err
	}
	for cmd, handler := range handlers {
		cmd.handler.Store(handler)
	}
	for name, cmd := range *m.table.Load() {
		if cmd.origin != nil && next[name] != cmd {
			cmd.gone.Store(true)
		}
	}
	m.layer, m.covered = layer, covered
	m.table.Store(&next)
	return nil
}

// CheckOverlay says why Overlay would fail at this moment, without changing anything.
func (m *CommandMgr) CheckOverlay(layer Layer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, err := m.overlaid(layer)
	return err
}

// overlaid returns the table with another layer, and the native commands that are covered in it.
func (m *CommandMgr) overlaid(layer Layer) (next, covered table, err error) {
	next, covered = m.native(), table{}
	var errs []error
	for _, cmd := range layer.Commands {
		bad := cmd.valid()
		if bad == nil && cmd.Owner == "" {
			bad = errors.New("it has no owner; the commands of the daemon itself are given to Register")
		}
		if below := next[cmd.Name]; bad == nil && below != nil {
			if bad = layer.mayCover(cmd, below); bad == nil {
				covered[cmd.Name] = below
			}
		}
		if bad != nil {
			errs = append(errs, fmt.Errorf("command '%s' of '%s': %w", cmd.Name, cmd.Owner, bad))
			continue
		}
		if next[cmd.Name] = m.laid(cmd); next[cmd.Name] == nil {
			next[cmd.Name] = &registered{Command: *cmd, origin: cmd, critical: cmd.Critical && m.opts.Critical != nil}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(layer.Overrides)) {
		if covered[name] == nil && len(errs) == 0 {
			errs = append(errs, fmt.Errorf("'%s' overrides '%s', and has no such command, or there is none to override", layer.Overrides[name], name))
		}
	}
	return next, covered, errors.Join(errs...)
}

// native returns the table without a layer.
func (m *CommandMgr) native() table {
	native := maps.Clone(*m.table.Load())
	maps.DeleteFunc(native, func(_ string, cmd *registered) bool { return cmd.origin != nil })
	maps.Copy(native, m.covered)
	return native
}

// laid returns what the present layer has of a command.
func (m *CommandMgr) laid(cmd *Command) *registered {
	if have := (*m.table.Load())[cmd.Name]; have != nil && have.origin == cmd {
		return have
	}
	return nil
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

// rewrapped returns the handlers that a table has with the hooks of a layer around them. Nobody is hurt
// by a hook that panics here.
func (m *CommandMgr) rewrapped(t table, layer Layer) (handlers map[*registered]*Handler, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in a hook that was to be put around a command: %v", v)
		}
	}()
	handlers = map[*registered]*Handler{m.unknown: m.wrapped(m.unknown, layer)}
	for _, cmd := range t {
		handlers[cmd] = m.wrapped(cmd, layer)
	}
	return handlers, nil
}

// deregisterCovered removes the native command under one of the layer. m.mu is held.
func (m *CommandMgr) deregisterCovered(over *registered) error {
	below, ok := m.covered[over.Name]
	if !ok {
		return fmt.Errorf("Can't uninstall command '%s': it belongs to '%s'", over.Name, over.Owner)
	}
	below.gone.Store(true)
	delete(m.covered, over.Name)
	return nil
}
