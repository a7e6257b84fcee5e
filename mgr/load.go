package mgr

// A Load is what a manager has to do at one moment, and has not done, for gauges and counters.
type Load struct {
	Queued   int   // calls that wait for the loop
	Conns    int   // that are open
	Refused  int64 // conns that were not let in since the start, for being too many most likely
	Buffered int64 // bytes of requests in flight and of replies that are not sent; whole pages of each conn
}

// Load returns what the manager has to do at this moment.
func (m *CommandMgr) Load() Load {
	load := Load{Buffered: m.buffered.Load(), Refused: m.refused.Load()}
	m.queue.mu.Lock()
	load.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	load.Conns = len(m.speaking)
	return load
}

// Post posts f to the loop that the manager's handlers run on. It is for what a daemon does there of its
// own accord, and for who wants to know that the loop turns: a watchdog, a measure of its lag. It keeps
// the promises of loop.Poster; what panics in f nobody recovers.
func (m *CommandMgr) Post(f func()) error { return m.loop.Post(f) }
