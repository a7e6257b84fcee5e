package loop

import (
	"runtime/debug"
	"slices"
)

// A round has the participants of one section, from the first Check to the last Exit. Participants that are added or removed
// in between count from the next round on. CriticalSection.mu protects the fields.
type round struct {
	participants []participant
	loop         Poster
	asked        int    // the participants whose Enter was called are participants[:asked]
	asking       bool   // begin is running, and may call more of Check and Enter
	paused       []bool // by index: the participant has called done
	missing      int    // participants that have not called done
	abandoned    bool   // the section will not be entered in this round
}

type participant struct {
	name string
	Participant
}

// begin checks the participants and asks them to pause. It runs on the loop.
func (s *CriticalSection) begin(l Poster) {
	s.mu.Lock()
	if len(s.waiting) == 0 { // all have withdrawn since begin was posted
		s.state = idle
		s.mu.Unlock()
		return
	}
	n := len(s.participants)
	r := &round{participants: s.participants, loop: l, asking: true, paused: make([]bool, n), missing: n}
	s.round = r
	s.mu.Unlock()
	veto := s.checkAll(r)
	if veto == nil {
		veto = s.enterAll(r)
	}
	s.mu.Lock()
	r.asking = false
	abandoned, ready := r.abandoned, r.missing == 0
	s.mu.Unlock()
	switch {
	case abandoned: // abandonLocked has left the call of resume to begin
		s.resume(r)
	case veto != nil:
		s.fail(r, veto)
	case ready:
		s.enter()
	}
}

func (s *CriticalSection) checkAll(r *round) error {
	for _, p := range r.participants {
		err := errPanicked
		s.recoverPanic(p, func() { err = p.Check() })
		if err != nil {
			return &VetoError{p.name, err}
		}
	}
	return nil
}

func (s *CriticalSection) enterAll(r *round) error {
	for i, p := range r.participants {
		r.asked++
		if !s.recoverPanic(p, func() { p.Enter(func() { s.onPaused(r, i) }) }) {
			return &VetoError{p.name, errPanicked}
		}
	}
	return nil
}

// onPaused is the done function of participant i. Any goroutine may call it, and more than once.
func (s *CriticalSection) onPaused(r *round, i int) {
	s.mu.Lock()
	if r.abandoned || r.paused[i] {
		s.mu.Unlock()
		return
	}
	r.paused[i] = true
	r.missing--
	last := r.missing == 0 && !r.asking
	s.mu.Unlock()
	if last && r.loop.Post(s.enter) != nil {
		s.fail(r, ErrClosed)
	}
}

// notPaused returns the names of the participants that have not called done.
func (r *round) notPaused() []string {
	var names []string
	for i, p := range r.participants {
		if !r.paused[i] {
			names = append(names, p.name)
		}
	}
	return names
}

// abandonLocked marks a round as abandoned. It returns true if the caller must call resume. While begin runs it returns
// false, since begin calls resume then.
func (s *CriticalSection) abandonLocked(r *round) (mustResume bool) {
	if r.abandoned || r.asking {
		r.abandoned = true
		return false
	}
	r.abandoned = true
	s.state = leaving
	return true
}

// resume calls Exit of each participant whose Enter was called, in reverse order. If functions wait, it starts the next
// round.
func (s *CriticalSection) resume(r *round) {
	if r != nil {
		for _, p := range slices.Backward(r.participants[:r.asked]) {
			s.recoverPanic(p, p.Exit)
		}
	}
	s.mu.Lock()
	s.state, s.round = idle, nil
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return
	}
	s.state = pausing // an Exit has called Do, or on a closed loop another goroutine has
	l := s.waiting[0].loop
	s.mu.Unlock()
	if l.Post(func() { s.begin(l) }) == nil {
		return
	}
	s.mu.Lock()
	s.state = idle
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	runAll(waiting, ErrClosed)
}

// recoverPanic runs a call of a participant. It returns false if the call has panicked, and logs the panic.
func (s *CriticalSection) recoverPanic(p participant, call func()) (returned bool) {
	defer func() {
		if v := recover(); v != nil {
			s.log(p.name, v, debug.Stack())
			returned = false
		}
	}()
	call()
	return true
}
