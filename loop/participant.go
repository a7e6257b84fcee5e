package loop

import (
	"errors"
	"fmt"
	"strings"
)

// A Participant has goroutines of its own, which pause while a function is inside a CriticalSection. Pool is a Participant.
// Functions inside the section may change the data that these goroutines use without locks.
//
// The section calls the methods on the loop, one at a time. They must not wait. A panic in a method is logged, and the
// section goes on with the other participants.
type Participant interface {
	// Check returns an error if the participant cannot pause now, and nil otherwise. The section checks all participants
	// before it calls the first Enter.
	Check() error

	// Enter asks the participant to pause. The participant calls done when its goroutines have paused: inside Enter, or
	// later on any goroutine. Functions inside the section see all writes that came before done. A second call of done has
	// no effect.
	Enter(done func())

	// Exit lets the goroutines go on. The section calls it once for each Enter, also for an Enter that has panicked, and
	// also if the section was not entered in the end. Exit may come before done; done has no effect then.
	Exit()
}

// A VetoError says that a critical section was not entered because a participant cannot pause now.
type VetoError struct {
	Participant string // its name
	Err         error  // the error of its Check
}

// Error returns a text with the name and the reason.
func (e *VetoError) Error() string {
	return fmt.Sprintf("'%s' does not pause now: %v", e.Participant, e.Err)
}

// Unwrap returns the reason.
func (e *VetoError) Unwrap() error { return e.Err }

// A PauseError says that a critical section was not entered because the context ended before all participants had paused.
type PauseError struct {
	Participants []string // the names of the participants that had not paused
	Err          error    // the cause of the context
}

// Error returns a text with the names and the cause.
func (e *PauseError) Error() string {
	return fmt.Sprintf("'%s' did not pause: %v", strings.Join(e.Participants, "', '"), e.Err)
}

// Unwrap returns the cause of the context.
func (e *PauseError) Unwrap() error { return e.Err }

// errPanicked is the reason of a VetoError for a participant whose Check or Enter has panicked. The section cannot know
// whether it has paused.
var errPanicked = errors.New("it panicked; the log says more")
