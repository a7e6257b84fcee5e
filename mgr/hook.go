package mgr

import "slices"

// Hook puts a function around every authorized call, of every command, also those that do not
// exist: it may act before next, after it, instead of it, or change the reply. It runs where the
// command runs: on the loop, or beside it for Async commands. The hook that was added first is the
// outermost. It applies to calls that start from now on.
//
// around is called once for each command, by Hook and by each later change of the commands, and once more where two
// changes come at the same time. It may call the manager, but must not change its commands each time it is called:
// Hook then panics.
func (m *CommandMgr) Hook(around func(next Handler) Handler) (remove func()) {
	h := &hook{around}
	m.setHooks(func(hooks []*hook) []*hook { return append(slices.Clone(hooks), h) })
	return func() {
		m.setHooks(func(hooks []*hook) []*hook {
			return slices.DeleteFunc(slices.Clone(hooks), func(other *hook) bool { return other == h })
		})
	}
}

type hook struct{ around func(Handler) Handler }

func (m *CommandMgr) setHooks(next func([]*hook) []*hook) {
	err := m.change(func(set commandSet) (commandSet, []*registered, error) {
		set.hooks = next(set.hooks)
		return set, append(set.all(), m.unknown), nil
	})
	if err != nil {
		panic(err)
	}
}
