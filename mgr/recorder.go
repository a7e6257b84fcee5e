package mgr

import (
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

	// End is told how calls ended, all of them: those that only look, and those that were refused,
	// too. The replies are sent when it has returned.
	End(ends []End)
}

// An End is how a call ended. Its Call may be read until Recorder.End returns.
type End struct {
	*Call
	Code     wire.Code     // the result
	Duration time.Duration // from the arrival of the request to the reply's being encoded
}
