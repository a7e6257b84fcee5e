package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// A CriticalSection lets functions on a loop change what other goroutines read without locks: while
// one is inside, all participants stand still. The rules are those of Kea's MultiThreadingMgr: each
// participant may veto; they are asked to pause in the order in which they were added, and go on in
// reverse; sections nest and are counted, and only the outermost one stops anybody. Unlike there,
// nobody waits: the loop runs other functions until the last participant has reported, and a
// participant that fails to pause keeps the section from being entered.
//
// The zero value is a section without participants. It belongs to one loop.
type CriticalSection struct {
	// Logger gets the panics of participants. nil: slog.Default().
	Logger *slog.Logger

	mu           sync.Mutex // held while nothing of anybody else's is called
	participants []participant
	state        state
	depth        int
	round        *round    // those that pause, or have; nil: nobody was asked
	waiting      []*waiter // what will run inside
}

type state uint8

const (
	idle    state = iota // nobody is inside, and nobody wants to be
	pausing              // participants are checked, asked, and waited for
	inside               // functions run
	leaving              // participants are told to go on
)

// A waiter is a function that waits for the section.
type waiter struct {
	loop  Poster
	run   func(error)
	watch func() bool // stops the watch over its context
}

// Add adds a participant, behind those that there are. The name is for people, and taken once. A
// section that is being entered or held goes on without it. Any goroutine may call Add.
func (s *CriticalSection) Add(name string, p Participant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "":
		return errors.New("a participant needs a name")
	case p == nil:
		return fmt.Errorf("the participant '%s' is nil", name)
	case s.index(name) >= 0:
		return fmt.Errorf("a participant '%s' already exists; remove it first or take another name", name)
	}
	s.participants = append(slices.Clip(s.participants), participant{name, p})
	return nil
}

// Remove removes a participant. A section that is being entered or held still waits for it, and still
// calls its Exit; those that follow do not know it. Any goroutine may call Remove.
func (s *CriticalSection) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(name)
	if i < 0 {
		return fmt.Errorf("there is no participant '%s'", name)
	}
	s.participants = slices.Delete(slices.Clone(s.participants), i, i+1)
	return nil
}

// index returns where a participant is. s.mu is held.
func (s *CriticalSection) index(name string) int {
	return slices.IndexFunc(s.participants, func(p participant) bool { return p.name == name })
}

// Depth returns how many functions are inside, one within the other: 0 means that the participants are
// at work. On the loop that is about the caller itself.
func (s *CriticalSection) Depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.depth
}

// Do runs f inside the section: f(nil), once all participants have paused. When f returns, or panics,
// the section is left. Otherwise f runs outside, with the reason: a *VetoError; once ctx has ended, a
// *PauseError, or ctx's cause where nobody had been asked. Whatever happens, f runs once.
//
// Do is called on the loop l, and f runs there: before Do returns if nobody has to be waited for, as
// inside another section, otherwise later, and l runs other functions meanwhile. Only when l is closed
// before that, f runs elsewhere, with ErrClosed or a *PauseError, and so does the participants' Exit.
// Functions that wait at the same time share the section.
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
	w.watch = context.AfterFunc(ctx, func() {
		giveUp := func() { s.giveUp(w, context.Cause(ctx)) }
		if l.Post(giveUp) != nil {
			giveUp()
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

// enter is called on the loop, when the last participant has reported.
func (s *CriticalSection) enter() {
	s.mu.Lock()
	s.state, s.depth = inside, 1
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	defer s.leave()
	tell(waiting, nil)
}

// tell runs what has waited. One that panics keeps no other from it.
func tell(waiting []*waiter, err error) {
	if len(waiting) == 0 {
		return
	}
	defer tell(waiting[1:], err)
	waiting[0].watch()
	waiting[0].run(err)
}

// leave ends what one function had; the outermost one ends the section.
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

// refuse ends a round that does not come to its end, for all that wait.
func (s *CriticalSection) refuse(r *round, err error) {
	s.mu.Lock()
	if r.over {
		s.mu.Unlock()
		return
	}
	waiting := s.waiting
	s.waiting = nil
	ours := s.abandon(r)
	s.mu.Unlock()
	if ours {
		s.resume(r)
	}
	tell(waiting, err)
}

// giveUp is called when the context of a function ends that waits. If it was the last one, so does the
// round.
func (s *CriticalSection) giveUp(w *waiter, cause error) {
	s.mu.Lock()
	i := slices.Index(s.waiting, w)
	r, ours := s.round, false
	asked := s.state == pausing && r != nil
	if i < 0 || asked && r.missing == 0 { // it runs, or is about to
		s.mu.Unlock()
		return
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if asked {
		cause = &PauseError{r.silent(), cause}
		ours = len(s.waiting) == 0 && s.abandon(r)
	}
	s.mu.Unlock()
	if ours {
		s.resume(r)
	}
	tell([]*waiter{w}, cause)
}

// log logs a panic. The loop does no I/O.
func (s *CriticalSection) log(participant string, v any, stack []byte) {
	log := s.Logger
	if log == nil {
		log = slog.Default()
	}
	go log.Error("panic in a participant of the critical section", "participant", participant, "panic", fmt.Sprint(v), "stack", string(stack))
}
