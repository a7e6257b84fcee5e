package mgr

import (
	"sync"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// A queue has the calls that wait for the loop, in the order in which they were accepted. One function is posted to the loop
// for all of them, not one for each. It is in one of three states: posted and blockedBy say in which.
//
//	from     to       when                                                                 by
//	empty    posted   calls are added (push)                                               readers, callers of Process
//	posted   empty    the loop takes all calls (take)                                      loop
//	posted   posted   the loop takes maxCallsPerRun calls, and posts the queue again       loop
//	posted   blocked  a critical call waits for its section (block)                        loop
//	empty    blocked  the same, and the critical call was the last one                     loop
//	blocked  posted   the critical call was served or was given up (unblock, resumeQueue)  loop, or a goroutine of the section
//	posted   empty    the loop is closed: the calls run now (take), or are refused (empty)  loop, or a goroutine of the section
type queue struct {
	run   func() // runQueue
	limit int    // MaxQueued

	mu        sync.Mutex
	calls     []*Call
	spare     []*Call       // only the loop accesses it
	posted    bool          // run is posted to the loop, or the goroutine that unblocks the queue will post it
	blockedBy *criticalCall // calls are taken only when it was served; nil: the queue is not blocked
}

// maxCallsPerRun is how many calls run before the loop may run another posted function.
const maxCallsPerRun = 256

// push adds as many calls as the limit allows. It returns their number, and why the others were not added.
func (q *queue) push(l loop.Poster, calls ...*Call) (int, *wire.Error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fit := min(len(calls), max(0, q.limit-len(q.calls)))
	if fit > 0 && !q.posted {
		if l.Post(q.run) != nil {
			return 0, errShuttingDown
		}
		q.posted = true
	}
	q.calls = append(q.calls, calls[:fit]...)
	if fit < len(calls) {
		return fit, wire.Errorf(wire.CodeTooMany, "", "%d commands are waiting; try again later", q.limit)
	}
	return fit, nil
}

// take returns the calls for one run.
func (q *queue) take(l loop.Poster) []*Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.blockedBy != nil {
		return nil
	}
	calls := q.calls
	if len(calls) <= maxCallsPerRun {
		q.calls, q.spare = q.spare[:0], nil
		q.posted = false
		return calls
	}
	if l.Post(q.run) != nil { // the loop is closed, and this is the last run
		q.calls, q.posted = nil, false
		return calls
	}
	rest := q.spare[:0]
	rest = append(rest, calls[maxCallsPerRun:]...)
	q.calls, q.spare = rest, nil
	return calls[:maxCallsPerRun]
}

// keep keeps the array of a run for the next calls.
func (q *queue) keep(calls []*Call) {
	clear(calls)
	if q.spare == nil && cap(calls) <= 4*maxCallsPerRun {
		q.spare = calls[:0]
	}
}

// runQueue runs on the loop. It runs one call after another, each to its end.
func (m *CommandMgr) runQueue() {
	calls := m.queue.take(m.loop)
	for i, call := range calls {
		call.dropIfLeft()
		if !call.target.critical || call.state.Load() == answered {
			call.run()
		} else if m.runCritical(call, calls[i+1:]) {
			break
		}
	}
	m.queue.keep(calls)
}

var errLeft = &wire.Error{Code: wire.CodeCancelled, Text: "its caller left before it ran"}

// accept queues calls of Process, unless the drain has begun. It returns the calls that it could not queue, and why.
func (m *CommandMgr) accept(calls ...*Call) (rejected []*Call, why *wire.Error) {
	if m.readCtx.Err() != nil {
		return calls, errShuttingDown
	}
	return m.place(calls...)
}

// place starts the calls of async commands, and queues the others. It does so during a drain too: a command that was accepted
// may call Process. It returns the calls that it could not queue, and why.
func (m *CommandMgr) place(calls ...*Call) (rejected []*Call, why *wire.Error) {
	queued := calls[:0]
	for _, call := range calls {
		if call.target.Async {
			go call.run()
			continue
		}
		queued = append(queued, call)
	}
	n, why := m.queue.push(m.loop, queued...)
	return queued[n:], why
}

var errShuttingDown = &wire.Error{Code: wire.CodeShuttingDown, Text: "the daemon is shutting down and takes no more commands"}
