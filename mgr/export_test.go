package mgr

import (
	"context"
	"fmt"

	"github.com/rudderpost/rudderpost/wire"
)

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

// Rows returns the tables of transitions: for each row its states, goroutine and condition.
func Rows() (rows []string) {
	for _, r := range transitions {
		rows = append(rows, fmt.Sprintf("read state %d to %d, by %s: %s", r.from, r.to, r.by, r.when))
	}
	for _, r := range writerTransitions {
		rows = append(rows, fmt.Sprintf("writer %d to %d, by %s: %s", r.from, r.to, r.by, r.when))
	}
	return rows
}

// WatchTransitions calls saw for each transition of a conn, with the index of its row in Rows, and failed for each that
// breaks the tables or an invariant. It is called before the first conn is open. Both functions run with the conn locked.
func (m *CommandMgr) WatchTransitions(saw func(row int), failed func(what string)) {
	require := func(ok bool, c *conn, what string) {
		if !ok {
			failed(fmt.Sprintf("%s (read state %d, writer %d, %d replies wait)", what, c.state, c.outbox.writer, len(c.outbox.waiting)))
		}
	}
	m.onTransition = func(c *conn, from readState, t transition) {
		row := transitions[t]
		require(from == row.from, c, fmt.Sprintf("row %d begins in state %d and not in %d", t, row.from, from))
		switch row.to {
		case stateAwaiting:
			require(c.outbox.writer == noWriter, c, "the reader waits for replies that another goroutine writes")
		case stateWriting:
			require(c.outbox.writer == readerWrites, c, "the reader is in state writing and is not the writer")
		case stateIdle:
			require(c.worker == nil, c, "an idle conn has a worker")
		case stateClosed:
			require(!c.outbox.busyLocked(), c, "a closed conn has replies")
			require(c.unanswered == 0, c, "a closed conn has calls")
		}
		if t == readerDetached {
			require(c.worker == nil, c, "the new reader has the worker of the detached one")
		}
		saw(int(t))
	}
	m.onWriterTransition = func(c *conn, from writer, t writerTransition) {
		row := writerTransitions[t]
		require(from == row.from, c, fmt.Sprintf("writer row %d begins with writer %d and not with %d", t, row.from, from))
		switch t {
		case readerTakes, poolTakes:
			require(len(c.outbox.waiting) > 0, c, "a goroutine writes an empty outbox")
		case poolKeeps:
			require(c.state == stateReading, c, "a detached reader leaves no other reader")
		case readerDone, poolDone:
			require(len(c.outbox.waiting) == 0, c, "replies are left that no goroutine writes")
		}
		saw(len(transitions) + int(t))
	}
}

// EndPoller makes the poller of the manager refuse all conns.
func (m *CommandMgr) EndPoller() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	m.poller().Run(ended)
}

// FireOldDeadline calls the function of the timer of an earlier wait for each conn.
func (m *CommandMgr) FireOldDeadline() {
	for _, c := range m.openConns() {
		c.mu.Lock()
		lease := c.lease - 1
		c.mu.Unlock()
		c.replyDeadline(lease)
	}
}

// MaxStreamBytes is how many bytes of a stream may wait.
const MaxStreamBytes = maxStreamBytes

// Streams returns a function that sends replies of a new stream as an async handler of call would.
func Streams(ctx context.Context, call *Call) (send func(arguments any) error) {
	s := new(stream)
	return func(arguments any) error {
		return call.sink.(*conn).replyInStream(ctx, s, call, wire.Reply{Arguments: arguments})
	}
}

// Leases returns the lease of each open conn.
func (m *CommandMgr) Leases() (leases []uint32) {
	for _, c := range m.openConns() {
		c.mu.Lock()
		leases = append(leases, c.lease)
		c.mu.Unlock()
	}
	return leases
}
