package mgr

import "slices"

// Use adds middleware: a function that wraps the handler of every command, also of commands that do not exist. The wrapped
// handler is called for authorized calls only. It may act before it calls next, after it or instead of it, and may change the
// reply. It runs on the same goroutine as the command: on the loop, or off the loop for Async commands. The middleware that
// was added first is the outermost. It applies to calls that start from now on. remove removes it; it may be called twice.
//
// Use calls around once for each command. Each later change of the commands calls it again, and once more if two changes
// come at the same time. around may call the manager. Use panics if around changes the manager's commands each time it is
// called.
func (m *CommandMgr) Use(around func(next Handler) Handler) (remove func()) {
	added := &middleware{around}
	m.setMiddleware(func(all []*middleware) []*middleware { return append(slices.Clone(all), added) })
	return func() {
		m.setMiddleware(func(all []*middleware) []*middleware {
			return slices.DeleteFunc(slices.Clone(all), func(other *middleware) bool { return other == added })
		})
	}
}

type middleware struct{ around func(Handler) Handler }

func (m *CommandMgr) setMiddleware(next func([]*middleware) []*middleware) {
	err := m.change(func(set commandSet) (commandSet, []*registered, error) {
		set.middleware = next(set.middleware)
		return set, append(set.all(), m.unknown), nil
	})
	if err != nil {
		panic(err)
	}
}
