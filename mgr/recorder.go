package mgr

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// A Recorder writes the record of calls; package audit has one. Its methods are called off the loop, by several goroutines at
// the same time. They may block: only the conns of the recorded calls wait.
type Recorder interface {
	// Begin is called with calls that may change something (levels Write and Admin), after they were authorized and checked
	// and before they are queued. It may set Record of each call, for End. If it returns an error, none of the calls runs;
	// each gets result 503 with the text of the error.
	Begin(calls []*Call) error

	// End is called with the results of all calls: also of level Read, and also of refused calls. The replies are written
	// after End has returned.
	End(results []CallResult)
}

// A CallResult is the result of a call, for a Recorder and an Observer. Its Call must not be changed.
type CallResult struct {
	*Call
	Code     wire.Code     // the result; wire.CodeInternal for a reply that cannot be encoded
	Duration time.Duration // from the arrival of the request to the encoding of the reply
	BytesIn  int           // length of the request in bytes; 0 for a call of Process
	BytesOut int           // length of the reply in bytes; 0 for a call of Process
}

// changes reports whether the call may change something. Such calls are recorded before they run.
func (c *Call) changes() bool { return c.Command != nil && c.Command.Level > Read }

// begin records calls before they run. It returns the error for the calls of levels Write and Admin, which must not run then.
func (m *CommandMgr) begin(calls []*Call) (bad *wire.Error) {
	if m.opts.Recorder == nil || !slices.ContainsFunc(calls, (*Call).changes) {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			m.logError("panic in the recorder", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			bad = errNotRecorded
		}
	}()
	if !slices.ContainsFunc(calls, func(call *Call) bool { return !call.changes() }) {
		return notRecorded(m.opts.Recorder.Begin(calls))
	}
	var changing []*Call
	for _, call := range calls {
		if call.changes() {
			changing = append(changing, call)
		}
	}
	return notRecorded(m.opts.Recorder.Begin(changing))
}

var errNotRecorded = &wire.Error{Code: wire.CodeShuttingDown, Word: "not-recorded", Text: "what is done cannot be recorded, so nothing may be changed; the daemon's log says more"}

func notRecorded(err error) *wire.Error {
	if err == nil {
		return nil
	}
	return &wire.Error{Code: errNotRecorded.Code, Word: errNotRecorded.Word, Text: err.Error()}
}

// end records the results of calls. The replies are written later.
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
