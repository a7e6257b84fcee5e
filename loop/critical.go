package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// A CriticalSection lets functions on a loop change data that other goroutines read without locks. While a function is
// inside, all participants have paused. The rules are those of Kea's MultiThreadingMgr:
//
//   - Each participant may veto.
//   - The section asks the participants to pause in the order in which they were added, and lets them go on in reverse order.
//   - Sections nest. Only the outermost one pauses and resumes the participants.
//
// There are two differences from Kea. The loop does not wait: it runs other functions until the last participant has
// paused. And if a participant does not pause, the function does not run inside the section.
//
// The zero value is a section without participants. A section belongs to one loop.
type CriticalSection struct {
	// Logger gets the panics of participants. The default is slog.Default().
	Logger *slog.Logger

	mu           sync.Mutex // never locked during a call of a participant or of a waiting function
	participants []participant
	state        state
	depth        int
	round        *round    // the participants that were asked to pause; nil: none was asked
	waiting      []*waiter // the functions that will run inside
}

// state is the state of a section. These are all transitions:
//
//	from     to       when
//	idle     inside   Do, without participants
//	idle     pausing  Do, with participants
//	pausing  inside   the last participant has paused (enter)
//	pausing  idle     all waiting functions have withdrawn before the first check (begin)
//	pausing  leaving  a participant vetoes or panics, the loop is closed, or the last waiting function withdraws (abandonLocked)
//	inside   leaving  the outermost function has returned (leave)
//	leaving  idle     the participants go on, and no function waits (resume)
//	leaving  pausing  the participants go on, and functions wait (resume)
//
// A round that is abandoned within begin stays pausing until begin calls resume.
type state uint8

const (
	idle    state = iota // no function is inside, and none waits
	pausing              // the participants are checked and asked to pause, and the section waits for them
	inside               // functions run
	leaving              // the participants are asked to go on
)

// A waiter is a function that waits for the section.
type waiter struct {
	loop Poster
	run  func(error)
	stop func() bool // stops the function that runs when the context ends
}

// Add adds a participant as the last one. Logs and errors have its name, which must be unique. A section that is not idle
// does not ask the new participant to pause. Any goroutine may call Add.
func (s *CriticalSection) Add(name string, p Participant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "":
		return errors.New("a participant needs a name")
	case p == nil:
		return fmt.Errorf("the participant '%s' is nil", name)
	case s.indexLocked(name) >= 0:
		return fmt.Errorf("a participant '%s' already exists; remove it first or take another name", name)
	}
	s.participants = append(slices.Clip(s.participants), participant{name, p})
	return nil
}

// Remove removes a participant. A section that is not idle still waits for it and calls its Exit; later sections do not use
// it. Any goroutine may call Remove.
func (s *CriticalSection) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexLocked(name)
	if i < 0 {
		return fmt.Errorf("there is no participant '%s'", name)
	}
	s.participants = slices.Delete(slices.Clone(s.participants), i, i+1)
	return nil
}

// indexLocked returns the index of a participant, or -1.
func (s *CriticalSection) indexLocked(name string) int {
	return slices.IndexFunc(s.participants, func(p participant) bool { return p.name == name })
}

// Depth returns the number of nested functions inside the section. 0 means that the participants may run. On the loop the
// caller learns whether it is itself inside. Any goroutine may call Depth.
func (s *CriticalSection) Depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.depth
}

// Do calls f exactly once. It calls f(nil) inside the section, when all participants have paused; the section ends when f
// returns or panics. If the section cannot be entered, Do calls f outside of it with the reason:
//
//   - a *VetoError, if a participant cannot pause;
//   - a *PauseError, if ctx has ended and participants had been asked to pause;
//   - the cause of ctx, if ctx has ended and no participant had been asked;
//   - ErrClosed, if l was closed.
//
// Do must be called on the loop l, and f runs there. f runs before Do returns if there is no participant to wait for, as
// inside another section. Otherwise Do returns, and l runs other functions until the participants have paused. If l is
// closed in the meantime, f and the Exit methods run on another goroutine. Functions that wait at the same time enter the
// section together.
func (s *CriticalSection) Do(ctx context.Context, l Poster, f func(error)) {
	if ctx.Err() != nil {
		f(context.Cause(ctx))
		return
	}
	s.mu.Lock()
	before := s.state
	if before == idle && len(s.participants) == 0 {
		s.state = inside
	}
	if s.state == inside {
		s.depth++
		s.mu.Unlock()
		defer s.leave()
		f(nil)
		return
	}
	w := &waiter{loop: l, run: f}
	w.stop = context.AfterFunc(ctx, func() {
		withdraw := func() { s.withdraw(w, context.Cause(ctx)) }
		if l.Post(withdraw) != nil {
			withdraw()
		}
	})
	s.waiting = append(s.waiting, w)
	if before == idle {
		s.state = pausing
	}
	s.mu.Unlock()
	if before == idle {
		s.begin(l)
	}
}

// enter runs the waiting functions inside the section. It runs on the loop, after the last participant has paused.
func (s *CriticalSection) enter() {
	s.mu.Lock()
	s.state, s.depth = inside, 1
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	defer s.leave()
	runAll(waiting, nil)
}

// runAll runs waiting functions with err. If one panics, the others run too.
func runAll(waiting []*waiter, err error) {
	if len(waiting) == 0 {
		return
	}
	defer runAll(waiting[1:], err)
	waiting[0].stop()
	waiting[0].run(err)
}

// leave ends the section for one function. The outermost one resumes the participants.
func (s *CriticalSection) leave() {
	s.mu.Lock()
	s.depth--
	if s.depth > 0 {
		s.mu.Unlock()
		return
	}
	s.state = leaving
	r := s.round
	s.mu.Unlock()
	s.resume(r)
}

// fail abandons a round, and runs all waiting functions with err.
func (s *CriticalSection) fail(r *round, err error) {
	s.mu.Lock()
	if r.abandoned {
		s.mu.Unlock()
		return
	}
	waiting := s.waiting
	s.waiting = nil
	mustResume := s.abandonLocked(r)
	s.mu.Unlock()
	if mustResume {
		s.resume(r)
	}
	runAll(waiting, err)
}

// withdraw removes a waiting function whose context has ended, and runs it with the reason. If it was the last one, withdraw
// abandons the round.
func (s *CriticalSection) withdraw(w *waiter, cause error) {
	s.mu.Lock()
	i := slices.Index(s.waiting, w)
	r, mustResume := s.round, false
	asked := s.state == pausing && r != nil
	if i < 0 || asked && r.missing == 0 { // it runs now, or enter is posted
		s.mu.Unlock()
		return
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if asked {
		cause = &PauseError{r.notPaused(), cause}
		mustResume = len(s.waiting) == 0 && s.abandonLocked(r)
	}
	s.mu.Unlock()
	if mustResume {
		s.resume(r)
	}
	runAll([]*waiter{w}, cause)
}

// log logs a panic on another goroutine, since the loop does no I/O.
func (s *CriticalSection) log(participant string, v any, stack []byte) {
	log := s.Logger
	if log == nil {
		log = slog.Default()
	}
	go log.Error("panic in a participant of the critical section", "participant", participant, "panic", fmt.Sprint(v), "stack", string(stack))
}
