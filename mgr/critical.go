package mgr

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/wire"
)

// Critical makes the command run inside Options.Critical: its handler, and the encoding of its reply,
// may touch what the participants of that section read without locks. Until they have paused the
// commands behind it wait, and the loop runs what else is posted to it; if they do not pause in time
// (Limits.CriticalTimeout), or one of them refuses, the command does not run, and the reply says who
// and why. Of an Async command it is what OnLoop runs that is inside. A participant must not wait for a
// command before it pauses, since that waits for it.
//
// Kea's config-set, config-reload and config-test take a critical section, and what else changes what
// packets are answered from; reads and statistics do not.
func Critical() Option {
	return func(c *Command) { c.Critical = true }
}

// An entrance is a critical call that has left the queue and waits for the section. The queue's lock
// guards it.
type entrance struct {
	call   *Call
	giveUp context.CancelFunc
	over   bool
}

// runCritical runs a call inside the critical section. Where that must be waited for it holds the
// queue, puts those back that are behind the call, and reports so.
func (m *CommandMgr) runCritical(call *Call, behind []*Call) (held bool) {
	e := &entrance{call: call}
	e.giveUp = m.inside(m.background, call, func(bad *wire.Error) {
		if bad == nil {
			call.dropIfLeft()
			call.run()
		} else {
			call.refuse(bad)
		}
		if m.queue.release(e) {
			m.goOn(bad == nil)
		}
	})
	return m.queue.hold(e, behind)
}

// inside runs f inside the critical section, or elsewhere with what to answer instead. It is called on
// the loop. giveUp ends the wait for the participants.
func (m *CommandMgr) inside(ctx context.Context, call *Call, f func(*wire.Error)) (giveUp context.CancelFunc) {
	ctx, giveUp = context.WithTimeout(ctx, m.limits.Load().CriticalTimeout)
	m.opts.Critical.Do(ctx, m.loop, func(err error) {
		giveUp()
		if err != nil {
			f(m.notEntered(call, err))
			return
		}
		f(nil)
	})
	return giveUp
}

// goOn runs what a held queue has, but not inside the section. When the loop is closed it is the last
// turn, or, beside the loop, too late for one.
func (m *CommandMgr) goOn(onLoop bool) {
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

// hold keeps the queue's turns from running, unless the call has had its own already. Those behind it
// come first when they do.
func (q *queue) hold(e *entrance, behind []*Call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.over {
		return false
	}
	q.entering = e
	q.calls = append(slices.Clone(behind), q.calls...)
	q.posted = true // by goOn
	return true
}

// release ends what hold began, and reports whether it had.
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

// giveUp lets the queue go on when it is held for a call that has been answered.
func (q *queue) giveUp(call *Call) {
	q.mu.Lock()
	e := q.entering
	q.mu.Unlock()
	if e != nil && e.call == call {
		e.giveUp()
	}
}

// empty takes all calls of a queue whose loop is closed.
func (q *queue) empty() []*Call {
	q.mu.Lock()
	defer q.mu.Unlock()
	calls := q.calls
	q.calls, q.posted = nil, false
	return calls
}

// notEntered says for the caller why a critical command does not run.
func (m *CommandMgr) notEntered(call *Call, err error) *wire.Error {
	name := wire.Shorten(call.Name)
	if e, ok := errors.AsType[*wire.Error](err); ok { // a participant's own words
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
