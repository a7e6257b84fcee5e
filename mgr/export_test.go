package mgr

// ReadsOn is how long a conn may not be read from while its commands wait for the loop.
const ReadsOn = readsOn

// Counters is what a manager keeps count of.
type Counters struct {
	Buffered int64 // bytes of requests and replies
	Speaking int   // conversations
	Sockets  int
	Peers    int // that have conns
	Calls    int // of Process
	Queued   int
	Unsent   int // replies that wait for their conn
}

// Count returns the counters of the moment. All are zero while nothing is open and nobody talks.
func (m *CommandMgr) Count() Counters {
	n := Counters{Buffered: m.buffered.Load()}
	m.queue.mu.Lock()
	n.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	n.Speaking, n.Sockets, n.Calls = len(m.speaking), len(m.sockets), m.calls
	for _, p := range m.peers {
		n.Peers += min(1, p.conns)
	}
	for c := range m.speaking {
		c.mu.Lock()
		n.Unsent += len(c.out)
		c.mu.Unlock()
	}
	return n
}
