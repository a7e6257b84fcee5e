package mgr

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// A Recorder keeps the record of who did what; package audit has one. It is called off the loop, by
// many goroutines, and may wait: only the peers that it is about wait for it.
type Recorder interface {
	// Begin is told of calls that may change something (Write and Admin), when they have been
	// authorized and checked, before they are queued. It may set each call's Record, for End. After
	// an error none of them runs; all are answered with 503 and its text.
	Begin(calls []*Call) error

	// End is called with the results of calls, all of them: also of calls that only read, and of refused ones. Their
	// replies are sent when End has returned.
	End(results []CallResult)
}

// A CallResult is the result of a call, for a Recorder and for an Observer. Its Call is read-only.
type CallResult struct {
	*Call
	Code     wire.Code     // the result; for a reply that cannot be encoded wire.CodeInternal
	Duration time.Duration // from the arrival of the request until the reply was encoded
	BytesIn  int           // length of the request; 0 for a command of Process
	BytesOut int           // length of the reply; 0 for a command of Process
}

// changes reports whether a call may change something, and so is recorded before it runs.
func (c *Call) changes() bool { return c.Command != nil && c.Command.Level > Read }

// begin records calls before they run. It returns why those of them that may change something must not.
func (m *CommandMgr) begin(calls []*Call) (bad *wire.Error) {
	if m.opts.Recorder == nil || !slices.ContainsFunc(calls, (*Call).changes) {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			m.logError("panic in the recorder", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			bad = errUnrecorded
		}
	}()
	if !slices.ContainsFunc(calls, func(call *Call) bool { return !call.changes() }) {
		return unrecorded(m.opts.Recorder.Begin(calls))
	}
	var changing []*Call
	for _, call := range calls {
		if call.changes() {
			changing = append(changing, call)
		}
	}
	return unrecorded(m.opts.Recorder.Begin(changing))
}

var errUnrecorded = &wire.Error{Code: wire.CodeShuttingDown, Word: "not-recorded", Text: "what is done cannot be recorded, so nothing may be changed; the daemon's log says more"}

func unrecorded(err error) *wire.Error {
	if err == nil {
		return nil
	}
	return &wire.Error{Code: errUnrecorded.Code, Word: errUnrecorded.Word, Text: err.Error()}
}

// end records how calls ended, before anybody is told.
func (m *CommandMgr) end(results ...CallResult) {
	if m.opts.Recorder == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			m.logError("panic in the recorder", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	m.opts.Recorder.End(results)
}

// recordEnds is end for a batch of answers.
func (w *sender) recordEnds(c *conversation, batch []*answer) {
	if c.m.opts.Recorder == nil {
		return
	}
	w.begin(c, recording, stallTimeout)
	defer w.end()
	w.results = w.results[:0]
	for _, a := range batch {
		w.results = append(w.results, a.result())
	}
	c.m.end(w.results...)
	clear(w.results)
}
