package loop

import (
	"errors"
	"fmt"
	"strings"
)

// A Participant works beside the loop, with goroutines of its own, and stands still while a
// CriticalSection is held. Pool is one. What it may read and write without locks while it works,
// functions inside the section may change.
//
// The methods are called on the loop, one at a time, and must not wait. One that panics is logged and
// does not harm the others.
type Participant interface {
	// Check returns why the section cannot be entered now, or nil. All are checked before one is
	// asked to pause.
	Check() error

	// Enter asks the participant to pause. It, or any other goroutine, calls done when nothing of it
	// runs any more; what it did until then is visible inside the section. Only the first call of
	// done counts.
	Enter(done func())

	// Exit lets it go on. It is called once for each Enter, also when that has panicked or the section
	// was not entered in the end, and then perhaps before done was called, which is of no effect
	// afterwards.
	Exit()
}

// A VetoError is why a critical section was not entered: a participant does not want to pause.
type VetoError struct {
	Participant string // its name
	Err         error  // what its Check returned
}

// Error returns who refuses, and the reason.
func (e *VetoError) Error() string {
	return fmt.Sprintf("'%s' does not pause now: %v", e.Participant, e.Err)
}

// Unwrap returns the reason.
func (e *VetoError) Unwrap() error { return e.Err }

// A PauseError is why a critical section was not entered: the context ended before all participants
// had paused.
type PauseError struct {
	Participants []string // the names of those that had not
	Err          error    // the context's cause
}

// Error returns who has not paused, and why nobody waits any longer.
func (e *PauseError) Error() string {
	return fmt.Sprintf("'%s' did not pause: %v", strings.Join(e.Participants, "', '"), e.Err)
}

// Unwrap returns the context's cause.
func (e *PauseError) Unwrap() error { return e.Err }

// errPanicked is the reason of a participant that panics when it should pause: whether it stands
// still nobody knows.
var errPanicked = errors.New("it panicked; the log says more")
