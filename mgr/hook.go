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
	m.wrap(m.unknown)
}

func (m *CommandMgr) wrap(cmd *registered) *registered {
	handler := cmd.Handler
	for _, h := range slices.Backward(m.hooks) {
		handler = h.around(handler)
	}
	cmd.handler.Store(&handler)
	return cmd
}
