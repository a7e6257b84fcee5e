package mgr

import "slices"

// Hook puts a function around every authorized call, of every command, also those that do not
// exist: it may act before next, after it, instead of it, or change the reply. It runs where the
// command runs: on the loop, or beside it for Async commands. The hook that was added first is the
// outermost. It applies to calls that start from now on.
func (m *CommandMgr) Hook(around func(next Handler) Handler) (remove func()) {
	h := &hook{around}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = append(slices.Clone(m.hooks), h)
	m.rewrap()
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.hooks = slices.DeleteFunc(slices.Clone(m.hooks), func(other *hook) bool { return other == h })
		m.rewrap()
	}
}

type hook struct{ around func(Handler) Handler }

// rewrap puts the hooks of the moment around all commands.
func (m *CommandMgr) rewrap() {
	for _, cmd := range *m.table.Load() {
		m.wrap(cmd)
	}
	for _, cmd := range m.covered {
		m.wrap(cmd)
	}
	m.wrap(m.unknown)
}

func (m *CommandMgr) wrap(cmd *registered) *registered {
	cmd.handler.Store(m.wrapped(cmd, m.layer))
	return cmd
}

// wrapped returns a command's handler with the hooks of the moment, and those of a layer, around it.
func (m *CommandMgr) wrapped(cmd *registered, layer Layer) *Handler {
	handler := cmd.Handler
	for _, around := range slices.Backward(layer.Hooks) {
		handler = around(handler)
	}
	for _, h := range slices.Backward(m.hooks) {
		handler = h.around(handler)
	}
	return &handler
}
