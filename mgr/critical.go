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

// An entrance is a critical call that has left the queue and waits for the section. The queue's lock guards it.
type entrance struct {
	call   *Call
	giveUp context.CancelFunc
	over   bool
}

// runCritical runs a call inside the critical section. If the call must wait for the section, runCritical blocks the queue,
// returns the calls behind this one to the front of the queue, and reports true.
func (m *CommandMgr) runCritical(call *Call, behind []*Call) (held bool) {
	e := &entrance{call: call}
	e.giveUp = m.runInSection(m.background, call, func(bad *wire.Error) {
		if bad == nil {
			call.dropIfLeft()
			call.run()
		} else {
			call.refuse(bad)
		}
		if m.queue.release(e) {
			m.resumeQueue(bad == nil)
		}
	})
	return m.queue.hold(e, behind)
}

// runInSection runs f inside the critical section with nil, or outside of it with the error for the caller. It runs on the loop and
// does not block. giveUp ends the wait for the participants.
func (m *CommandMgr) runInSection(ctx context.Context, call *Call, f func(*wire.Error)) (giveUp context.CancelFunc) {
	ctx, giveUp = context.WithTimeout(ctx, m.limits.Load().CriticalTimeout)
	m.opts.Critical.Do(ctx, m.loop, func(err error) {
		giveUp()
		if err != nil {
			f(m.sectionError(call, err))
			return
		}
		f(nil)
	})
	return giveUp
}

// resumeQueue runs the calls of a queue that was blocked, outside of the section. If the loop is closed and resumeQueue runs on it, this is
// the last run of the queue; off a closed loop the calls are refused.
func (m *CommandMgr) resumeQueue(onLoop bool) {
	switch {
	case m.loop.Post(m.queue.turn) == nil:
	case onLoop:
		m.turn()
	default:
		for _, call := range m.queue.empty() {
			call.refuse(errShuttingDown)
		}
	}
}

// hold blocks the queue until release, unless the call of e has already been served. The calls behind it come first then.
func (q *queue) hold(e *entrance, behind []*Call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.over {
		return false
	}
	q.entering = e
	q.calls = append(slices.Clone(behind), q.calls...)
	q.posted = true // resumeQueue will post the queue
	return true
}

// release unblocks the queue, and reports whether e had blocked it.
func (q *queue) release(e *entrance) (held bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.over = true
	held = q.entering == e
	if held {
		q.entering = nil
	}
	return held
}

// giveUp ends the wait for the section when the queue is blocked for a call that has been answered.
func (q *queue) giveUp(call *Call) {
	q.mu.Lock()
	e := q.entering
	q.mu.Unlock()
	if e != nil && e.call == call {
		e.giveUp()
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
