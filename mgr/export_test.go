package mgr

import "github.com/rudderpost/rudderpost/wire"

// ReadsOn is how long a conn may not be read from while its commands wait for the loop.
const ReadsOn = readsOn

// Counters is what a manager keeps count of.
type Counters struct {
	Buffered  int64 // bytes of requests and replies
	Speaking  int   // conversations
	Listeners int
	Peers     int // that have conns
	Calls     int // of Process
	Queued    int
	Unsent    int // replies that wait for their conn
}

// Count returns the counters of the moment. All are zero while nothing is open and nobody talks.
func (m *CommandMgr) Count() Counters {
	n := Counters{Buffered: m.buffered.Load()}
	m.queue.mu.Lock()
	n.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	n.Speaking, n.Listeners, n.Calls = len(m.speaking), len(m.listeners), m.calls
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

// A ReplyState is a reply on its way.
type ReplyState struct {
	Text     string
	Buffered int64 // bytes that its conn has booked, without those that it holds
	InParts  bool
}

// ReplyStates returns a reply to a request without an id as it waits to be written, and as it is written.
func (m *CommandMgr) ReplyStates(reply wire.Reply) (waits, written ReplyState) {
	c := &conversation{m: m, peer: &peer{m: m}, closing: true} // which keeps others from writing
	c.changed.L = &c.mu
	state := func() ReplyState {
		a := c.out[0]
		return ReplyState{string(a.frame) + string(a.body) + a.tail, c.buffered - int64(a.size()+a.call.held()), a.body != nil}
	}
	c.answered(&Call{manager: m}, reply, true)
	waits = state()
	c.spellForKea(c.out)
	written = state()
	c.spellForKea(c.out) // again, as after a write that was tried
	if state() != written {
		panic("it was spelled twice")
	}
	c.hold(int(-c.buffered))
	return waits, written
}
