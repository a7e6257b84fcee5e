package mgr

// Stats has gauges and counters of a manager.
type Stats struct {
	Queued   int   // calls that wait for the loop
	Conns    int   // open conns
	Refused  int64 // conns that were refused since the start, mostly because of a limit
	Buffered int64 // bytes of requests in flight and of replies that are not written, exact to 16 KiB for each conn
}

// Stats returns the present gauges and counters. It does not wait for the loop.
func (m *CommandMgr) Stats() Stats {
	stats := Stats{Buffered: m.buffered.Load(), Refused: m.refused.Load()}
	m.queue.mu.Lock()
	stats.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	stats.Conns = len(m.conns)
	return stats
}

// Post posts f to the loop that runs the handlers, with the guarantees of loop.Poster: it does not block, and returns
// loop.ErrClosed if f will not run. It is for work of the daemon itself, and for checks that the loop still runs, such as a
// watchdog. The manager does not recover a panic in f.
func (m *CommandMgr) Post(f func()) error { return m.loop.Post(f) }
