package mgr

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A slowLog tells of calls that hold the loop too long, while they still do. The loop notes what it
// runs and since when; one timer, for all calls, looks whether that is too long. It is set, unless it is
// already, for the moment when what begins now would be slow: so it is never late for what begins later.
// When it finds nobody on the loop it is not set again.
type slowLog struct {
	log    *slog.Logger
	limits *atomic.Pointer[Limits]
	epoch  time.Time // what a hold's since is counted from: a time.Time costs more to note

	holding atomic.Pointer[hold] // nil: the loop runs no call
	slow    atomic.Pointer[hold] // what was told of, and whose end has not been
	set     atomic.Bool          // the timer is
	telling sync.Mutex           // so that an end is told after its beginning
}

// A hold is a call that has the loop. None is used twice, so that its address says which it is.
type hold struct {
	call  *Call
	since time.Duration
}

// during runs what a call does on the loop. By its name the loop's stack is found, so that it must not be
// inlined.
//
//go:noinline
func (s *slowLog) during(h *hold, call *Call, f func()) {
	limit := s.limits.Load().SlowCommand
	if limit <= 0 {
		f()
		return
	}
	h.call, h.since = call, time.Since(s.epoch)
	s.holding.Store(h)
	if !s.set.Load() {
		s.look(limit)
	}
	f()
	s.holding.Store(nil)
	if s.slow.Load() == h {
		go s.ended(h, time.Since(s.epoch)-h.since) // the loop does no I/O
	}
}

// look sets the timer, if it is not.
func (s *slowLog) look(after time.Duration) {
	if s.set.CompareAndSwap(false, true) {
		time.AfterFunc(after, s.ring)
	}
}

// ring looks who has the loop.
func (s *slowLog) ring() {
	h := s.holding.Load()
	if h != nil {
		held, limit := time.Since(s.epoch)-h.since, s.limits.Load().SlowCommand
		if held < limit {
			time.AfterFunc(limit-held, s.ring)
			return
		}
		s.caught(h, held)
	}
	s.set.Store(false)
	if next := s.holding.Load(); next != nil && next != h { // it may have seen the timer set
		s.look(0)
	}
}

// caught tells of a call that holds the loop, with the stack of the loop.
func (s *slowLog) caught(h *hold, held time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.slow.Store(h)
	attrs := h.call.attrs(slog.Duration("held", held))
	stack := stacksBelow(entryOf((*slowLog).during))
	over := s.holding.Load() != h
	if stack != "" && !over { // or it is somebody else's
		attrs = append(attrs, slog.String("stack", stack))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command holds the loop", attrs...)
	if over { // and during may have looked before it was slow
		go s.ended(h, time.Since(s.epoch)-h.since)
	}
}

// ended tells, once, how long it was.
func (s *slowLog) ended(h *hold, held time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.slow.CompareAndSwap(h, nil) {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command held the loop", h.call.attrs(slog.Duration("held", held))...)
	}
}

// attrs says who asked for what, never the arguments, and something more.
func (c *Call) attrs(more slog.Attr) []slog.Attr {
	return []slog.Attr{
		slog.String("peer", c.Peer.String()), slog.String("session", c.Peer.Session),
		slog.String("command", c.shown()), more,
	}
}
