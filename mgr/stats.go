package mgr

// Stats are gauges and counters of a manager at one moment.
type Stats struct {
	Queued   int   // calls that wait for the loop
	Conns    int   // open conns
	Refused  int64 // conns that were refused since the start, most of them because of a limit on conns
	Buffered int64 // bytes of requests in flight and of replies that are not sent, to 16 KiB for each conn
}

// Stats returns the gauges and counters of this moment. It does not wait for the loop.
func (m *CommandMgr) Stats() Stats {
	stats := Stats{Buffered: m.buffered.Load(), Refused: m.refused.Load()}
	m.queue.mu.Lock()
	stats.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	stats.Conns = len(m.speaking)
	return stats
}

// Post posts f to the loop that runs the manager's handlers. It is for work of the daemon itself, and for checks that the
// loop still runs: a watchdog, a measurement of its lag. It gives the guarantees of loop.Poster. The manager does not
// recover a panic in f.
func (m *CommandMgr) Post(f func()) error { return m.loop.Post(f) }
