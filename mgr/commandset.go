package mgr

import (
	"errors"
	"maps"
	"slices"
)

// A commandSet maps the names of commands to handlers. It is immutable; a change replaces it.
type commandSet struct {
	table      table
	covered    table // native commands that a command of the layer overrides
	layer      Layer
	middleware []*middleware // added by Use
}

// maxChangeTries limits how often change runs plan again because another change came first.
const maxChangeTries = 100

var errMiddlewareChangesCommands = errors.New("middleware changes the manager's commands each time it is called; change them outside of it")

// change replaces the command set. plan returns the next set for the present one, and the commands whose handlers must be
// wrapped again. plan and the middleware run without the manager's lock, so they may call the manager. When another change
// is committed first, change runs both again with the set that it left.
func (m *CommandMgr) change(plan func(now commandSet) (next commandSet, wrap []*registered, err error)) error {
	for range maxChangeTries {
		m.mu.Lock()
		now, version := m.commands, m.commandsVersion
		m.mu.Unlock()
		next, wrap, err := plan(now)
		if err != nil {
			return err
		}
		handlers := make([]*Handler, len(wrap))
		for i, cmd := range wrap {
			handlers[i] = next.wrapped(cmd)
		}
		if m.commit(next, version, wrap, handlers) {
			return nil
		}
	}
	return errMiddlewareChangesCommands
}

// commit puts a command set in force, unless another one was put in force since version.
func (m *CommandMgr) commit(next commandSet, version int, wrap []*registered, handlers []*Handler) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.commandsVersion != version {
		return false
	}
	for i, cmd := range wrap {
		cmd.handler.Store(handlers[i])
	}
	for _, cmd := range m.commands.all() {
		if !next.has(cmd) {
			cmd.gone.Store(true)
		}
	}
	m.commands = next
	m.commandsVersion++
	table := next.table
	m.table.Store(&table)
	return true
}

// wrapped returns the handler of a command inside the middleware of the layer, inside the middleware of Use.
func (s *commandSet) wrapped(cmd *registered) *Handler {
	handler := cmd.Handler
	for _, around := range slices.Backward(s.layer.Middleware) {
		handler = around(handler)
	}
	for _, w := range slices.Backward(s.middleware) {
		handler = w.around(handler)
	}
	return &handler
}

// all returns the commands of the set, also the covered ones, since queued calls may still refer to them.
func (s *commandSet) all() []*registered {
	all := make([]*registered, 0, len(s.table)+len(s.covered)+1)
	all = slices.AppendSeq(all, maps.Values(s.table))
	return slices.AppendSeq(all, maps.Values(s.covered))
}

func (s *commandSet) has(cmd *registered) bool {
	return s.table[cmd.Name] == cmd || s.covered[cmd.Name] == cmd
}
