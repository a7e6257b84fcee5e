package mgr

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A slowLog logs calls that hold the loop longer than Limits.SlowCommand, while they run and again when they end. The loop
// notes the call that it runs, and when it began. One timer for all calls checks that. A call that begins while no timer is
// set sets it to the moment at which that call would be slow; so the timer is never late for a later call. When the timer
// finds no call on the loop, it is not set again.
type slowLog struct {
	log    *slog.Logger
	limits *atomic.Pointer[Limits]
	epoch  time.Time // the since of a hold counts from it: a time.Time costs more

	holding atomic.Pointer[hold] // the call on the loop; nil: none
	slow    atomic.Pointer[hold] // a call that was reported while it ran, and whose end is not reported
	set     atomic.Bool          // the timer is set
	telling sync.Mutex           // orders the two lines of one call
}

// A hold is a call on the loop. None is used twice, so its address identifies it.
type hold struct {
	call  *Call
	since time.Duration
}

// during runs f, which is the part of a call on the loop. caught finds the stack of the loop by the name of this method, so it
// must not be inlined.
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

// look sets the timer, unless it is set.
func (s *slowLog) look(after time.Duration) {
	if s.set.CompareAndSwap(false, true) {
		time.AfterFunc(after, s.ring)
	}
}

// ring runs when the timer fires: it reports the call on the loop, or sets the timer again.
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
	if next := s.holding.Load(); next != nil && next != h { // next may have begun while the timer counted as set
		s.look(0)
	}
}

// caught logs a call that holds the loop, with the stack of the loop.
func (s *slowLog) caught(h *hold, held time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.slow.Store(h)
	attrs := h.call.attrs(slog.Duration("held", held))
	stack := stacksBelow(entryOf((*slowLog).during))
	over := s.holding.Load() != h
	if stack != "" && !over { // if the call is over, the stack is that of another call
		attrs = append(attrs, slog.String("stack", stack))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command holds the loop", attrs...)
	if over { // during may have ended before slow was set
		go s.ended(h, time.Since(s.epoch)-h.since)
	}
}

// ended logs once how long a reported call held the loop.
func (s *slowLog) ended(h *hold, held time.Duration) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.slow.CompareAndSwap(h, nil) {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command held the loop", h.call.attrs(slog.Duration("held", held))...)
	}
}

// attrs returns the peer, the session, the command and one more attribute. The arguments are never logged.
func (c *Call) attrs(more slog.Attr) []slog.Attr {
	return []slog.Attr{
		slog.String("peer", c.Peer.String()), slog.String("session", c.Peer.Session),
		slog.String("command", c.shown()), more,
	}
}
