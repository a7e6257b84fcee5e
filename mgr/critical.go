package mgr

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// Critical makes the command run inside the section Options.Critical. Its handler, and the encoding of its reply, may access
// data that the participants of the section read without locks. For an Async command, the function that OnLoop runs is inside.
//
// Until the participants have paused, the calls behind this one wait; the loop still runs other functions. If a participant
// does not pause within Limits.CriticalTimeout, or refuses, the command does not run. The reply then names the participant
// and the reason: result 503 (not-paused), 4 (vetoed), or the participant's own. A participant must not wait for a command
// before it pauses: the command waits for the participant.
//
// Kea runs config-set, config-reload, config-test and other commands that change the data of packet processing in a critical
// section; it runs commands that read, and statistics, outside.
func Critical() Option {
	return func(c *Command) { c.Critical = true }
}

// A criticalCall is a critical call that has left the queue and waits for the section. The queue's lock guards it.
type criticalCall struct {
	call  *Call
	abort context.CancelFunc
	over  bool
}

// runCritical runs a call inside the critical section. If the call must wait for the section, runCritical blocks the queue,
// returns the calls behind this one to the front of the queue, and reports true.
func (m *CommandMgr) runCritical(call *Call, behind []*Call) (blocked bool) {
	e := &criticalCall{call: call}
	e.abort = m.runInSection(m.background, call, func(bad *wire.Error) {
		if bad == nil {
			call.dropIfLeft()
			call.run()
		} else {
			call.refuse(bad)
		}
		if m.queue.unblock(e) {
			m.resumeQueue(bad == nil)
		}
	})
	return m.queue.block(e, behind)
}

// runInSection runs f inside the critical section with nil, or outside of it with the error for the caller. It runs on the loop and
// does not block. abort ends the wait for the participants.
func (m *CommandMgr) runInSection(ctx context.Context, call *Call, f func(*wire.Error)) (abort context.CancelFunc) {
	ctx, abort = context.WithTimeout(ctx, m.limits.Load().CriticalTimeout)
	m.opts.Critical.Do(ctx, m.loop, func(err error) {
		abort()
		if err != nil {
			f(m.sectionError(call, err))
			return
		}
		f(nil)
	})
	return abort
}

// resumeQueue runs the calls of a queue that was blocked, outside of the section. If the loop is closed and resumeQueue runs on it, this is
// the last run of the queue; off a closed loop the calls are refused.
func (m *CommandMgr) resumeQueue(onLoop bool) {
	switch {
	case m.loop.Post(m.queue.run) == nil:
	case onLoop:
		m.runQueue()
	default:
		for _, call := range m.queue.empty() {
			call.refuse(errShuttingDown)
		}
	}
}

// block blocks the queue until unblock, unless the call of e has already been served. The calls behind it come first then.
func (q *queue) block(e *criticalCall, behind []*Call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.over {
		return false
	}
	q.blockedBy = e
	q.calls = append(slices.Clone(behind), q.calls...)
	q.posted = true // resumeQueue will post the queue
	return true
}

// unblock unblocks the queue, and reports whether e had blocked it.
func (q *queue) unblock(e *criticalCall) (wasBlocked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.over = true
	wasBlocked = q.blockedBy == e
	if wasBlocked {
		q.blockedBy = nil
	}
	return wasBlocked
}

// abort ends the wait for the section when the queue is blocked for a call that has been answered.
func (q *queue) abort(call *Call) {
	q.mu.Lock()
	e := q.blockedBy
	q.mu.Unlock()
	if e != nil && e.call == call {
		e.abort()
	}
}

// empty removes all calls of a queue whose loop is closed, and returns them.
func (q *queue) empty() []*Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	calls := q.calls
	q.calls, q.posted = nil, false
	return calls
}

// sectionError returns the reply to a critical command that did not enter the section.
func (m *CommandMgr) sectionError(call *Call, err error) *wire.Error {
	name := wire.Shorten(call.Name)
	if e, ok := errors.AsType[*wire.Error](err); ok { // the participant's own error
		return e
	}
	if _, ok := errors.AsType[*loop.VetoError](err); ok {
		return wire.Errorf(wire.CodeConflict, "vetoed", "'%s' cannot run: %v", name, err)
	}
	if e, ok := errors.AsType[*loop.PauseError](err); ok {
		return wire.Errorf(wire.CodeShuttingDown, "not-paused", "'%s' did not run, since '%s' did not pause within %s; try again later",
			name, strings.Join(e.Participants, "', '"), m.limits.Load().CriticalTimeout)
	}
	return errShuttingDown // the loop is closed
}
