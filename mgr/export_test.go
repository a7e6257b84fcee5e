package mgr

import "github.com/rudderpost/rudderpost/wire"

// MaxReplyWait is how long the reader of a conn waits for the loop, or for its peer, before it reads on.
const MaxReplyWait = maxReplyWait

// Counters are the gauges that tests compare with zero.
type Counters struct {
	Buffered  int64 // bytes of requests and replies
	Conns     int
	Listeners int
	Peers     int // peers that have conns
	Calls     int // calls of Process
	Queued    int
	Unwritten int // replies that wait in outboxes
}

// Count returns the counters of this moment. All are zero while nothing is open.
func (m *CommandMgr) Count() Counters {
	n := Counters{Buffered: m.buffered.Load()}
	m.queue.mu.Lock()
	n.Queued = len(m.queue.calls)
	m.queue.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	n.Conns, n.Listeners, n.Calls = len(m.conns), len(m.listeners), m.calls
	for _, p := range m.peers {
		n.Peers += min(1, p.conns)
	}
	for c := range m.conns {
		c.mu.Lock()
		n.Unwritten += len(c.outbox.waiting)
		c.mu.Unlock()
	}
	return n
}

// A ReplyState is a reply in an outbox.
type ReplyState struct {
	Text     string
	Buffered int64 // bytes that its conn has booked, without those that the reply holds
	InParts  bool
}

// ReplyStates returns a reply to a request without an id as it waits to be written, and as it is written.
func (m *CommandMgr) ReplyStates(reply wire.Reply) (waits, written ReplyState) {
	c := &conn{m: m, peer: &peer{m: m}, state: stateClosing} // so that no goroutine writes the reply
	c.changed.L = &c.mu
	state := func() ReplyState {
		r := c.outbox.waiting[0]
		return ReplyState{string(r.frame) + string(r.body) + r.tail, c.buffered - int64(r.size()+r.call.held()), r.body != nil}
	}
	c.reply(&Call{manager: m}, reply, true)
	waits = state()
	c.spellForKea(c.outbox.waiting)
	written = state()
	c.spellForKea(c.outbox.waiting) // again, as after a write that was tried
	if state() != written {
		panic("it was spelled twice")
	}
	c.addBufferedLocked(int(-c.buffered))
	return waits, written
}
