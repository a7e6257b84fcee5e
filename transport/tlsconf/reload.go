package tlsconf

import (
	"cmp"
	"time"
)

// Reload reads the files now. When it fails, those before stay in force; the error is the caller's, and
// OnError is not told it.
func (s *Server) Reload() error {
	s.reading.Lock()
	g, err := s.load()
	s.use(g, err)
	complaint := s.news(g.trouble(err))
	s.reading.Unlock()
	if err == nil {
		s.tell(complaint)
	}
	return err
}

// current returns what is in force, after a look at the files if one is due; nil before the first Config.
// While one handshake looks, the others go on with what they have.
func (s *Server) current() *generation {
	g, due := s.inForce()
	if g == nil || !due || !s.reading.TryLock() {
		return g
	}
	if g, due = s.inForce(); !due {
		s.reading.Unlock()
		return g
	}
	var err error
	if g.stale() {
		g, err = s.load()
	}
	s.use(g, err)
	complaint := s.news(g.trouble(err))
	s.reading.Unlock()
	s.tell(complaint)
	return g
}

// inForce returns what is in force, and whether it is time to look at the files.
func (s *Server) inForce() (*generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, !time.Now().Before(s.check)
}

// load reads a generation. If it says what the one in force does, it is that one, so that nobody's session
// ends; if it cannot be used too.
func (s *Server) load() (*generation, error) {
	old, _ := s.inForce()
	next, err := loadGeneration(s)
	switch {
	case err != nil:
		return old, err // its stamps differ, so that the next look reads again
	case old == nil:
		return next, nil
	case old.sum == next.sum && !old.worn():
		old.stamps = next.stamps
		return old, nil
	}
	next.number = old.number + 1
	return next, nil
}

// use puts a generation in force.
func (s *Server) use(g *generation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.check = time.Now().Add(cmp.Or(s.CheckEvery, defaultCheckEvery))
	if err == nil {
		s.now = g
	}
}

// news returns an error unless it is the one of last time.
func (s *Server) news(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.told {
		return nil
	}
	s.told = text
	return err
}

func (s *Server) tell(err error) {
	if err != nil && s.OnError != nil {
		s.OnError(err)
	}
}
