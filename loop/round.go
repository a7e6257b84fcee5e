package loop

import (
	"runtime/debug"
	"slices"
)

// A round is the participants of one section, from the first check to the last exit. Those that are
// added or removed meanwhile count from the next one on. The section's lock guards it.
type round struct {
	participants []participant
	loop         Poster
	asked        int    // how many were asked to pause
	asking       bool   // others will be
	paused       []bool // who has reported
	missing      int    // how many have not
	over         bool   // it was given up
}

type participant struct {
	name string
	Participant
}

// begin checks the participants, and asks them to pause.
func (s *CriticalSection) begin(l Poster) {
	s.mu.Lock()
	if len(s.waiting) == 0 { // they have given up since begin was posted
		s.state = idle
		s.mu.Unlock()
		return
	}
	n := len(s.participants)
	r := &round{participants: s.participants, loop: l, asking: true, paused: make([]bool, n), missing: n}
	s.round = r
	s.mu.Unlock()
	refusal := s.checkAll(r)
	if refusal == nil {
		refusal = s.askAll(r)
	}
	s.mu.Lock()
	r.asking = false
	over, ready := r.over, r.missing == 0
	s.mu.Unlock()
	switch {
	case over: // the loop is closed, and whoever found out has left the rest to us
		s.resume(r)
	case refusal != nil:
		s.refuse(r, refusal)
	case ready:
		s.enter()
	}
}

func (s *CriticalSection) checkAll(r *round) error {
	for _, p := range r.participants {
		err := errPanicked
		s.protect(p, func() { err = p.Check() })
		if err != nil {
			return &VetoError{p.name, err}
		}
	}
	return nil
}

func (s *CriticalSection) askAll(r *round) error {
	for i, p := range r.participants {
		r.asked++
		if !s.protect(p, func() { p.Enter(func() { s.report(r, i) }) }) {
			return &VetoError{p.name, errPanicked}
		}
	}
	return nil
}

// report is what a participant calls when it has paused, from wherever it likes, as often as it likes.
func (s *CriticalSection) report(r *round, i int) {
	s.mu.Lock()
	if r.over || r.paused[i] {
		s.mu.Unlock()
		return
	}
	r.paused[i] = true
	r.missing--
	last := r.missing == 0 && !r.asking
	s.mu.Unlock()
	if last && r.loop.Post(s.enter) != nil {
		s.refuse(r, ErrClosed)
	}
}

// silent returns the names of those that have not reported.
func (r *round) silent() []string {
	var names []string
	for i, p := range r.participants {
		if !r.paused[i] {
			names = append(names, p.name)
		}
	}
	return names
}

// abandon ends a round that nobody waits for any more, and reports whether the caller shall resume it:
// while it still begins, begin does. s.mu is held.
func (s *CriticalSection) abandon(r *round) (ours bool) {
	if r.over || r.asking {
		r.over = true
		return false
	}
	r.over = true
	s.state = leaving
	return true
}

// resume lets those go on that were asked to pause, the last one first.
func (s *CriticalSection) resume(r *round) {
	if r != nil {
		for _, p := range slices.Backward(r.participants[:r.asked]) {
			s.protect(p, p.Exit)
		}
	}
	s.mu.Lock()
	s.state, s.round = idle, nil
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return
	}
	s.state = pausing // for a participant that has asked, or, on a closed loop, somebody there
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
	tell(waiting, ErrClosed)
}

// protect calls a participant, and reports whether it returned.
func (s *CriticalSection) protect(p participant, call func()) (returned bool) {
	defer func() {
		if v := recover(); v != nil {
			s.log(p.name, v, debug.Stack())
			returned = false
		}
	}()
	call()
	return true
}
