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
	epoch  time.Time // the since of an execution counts from it: a time.Time costs more

	current  atomic.Pointer[execution] // the call on the loop; nil: none
	reported atomic.Pointer[execution] // a call that was reported while it ran, and whose end is not reported
	timerSet atomic.Bool               // the timer is set
	reportMu sync.Mutex                // orders the two lines of one call
}

// An execution is a call on the loop. None is used twice, so its address identifies it.
type execution struct {
	call  *Call
	since time.Duration
}

// run runs f, which is the part of a call on the loop. reportSlow finds the stack of the loop by the name of this method, so it
// must not be inlined.
//
//go:noinline
func (s *slowLog) run(e *execution, call *Call, f func()) {
	limit := s.limits.Load().SlowCommand
	if limit <= 0 {
		f()
		return
	}
	e.call, e.since = call, time.Since(s.epoch)
	s.current.Store(e)
	if !s.timerSet.Load() {
		s.schedule(limit)
	}
	f()
	s.current.Store(nil)
	if s.reported.Load() == e {
		go s.reportEnd(e, time.Since(s.epoch)-e.since) // the loop does no I/O
	}
}

// schedule sets the timer, unless it is set.
func (s *slowLog) schedule(after time.Duration) {
	if s.timerSet.CompareAndSwap(false, true) {
		time.AfterFunc(after, s.onTimer)
	}
}

// onTimer runs when the timer fires: it reports the call on the loop, or sets the timer again.
func (s *slowLog) onTimer() {
	e := s.current.Load()
	if e != nil {
		held, limit := time.Since(s.epoch)-e.since, s.limits.Load().SlowCommand
		if held < limit {
			time.AfterFunc(limit-held, s.onTimer)
			return
		}
		s.reportSlow(e, held)
	}
	s.timerSet.Store(false)
	if next := s.current.Load(); next != nil && next != e { // next may have begun while the timer counted as set
		s.schedule(0)
	}
}

// reportSlow logs a call that holds the loop, with the stack of the loop.
func (s *slowLog) reportSlow(e *execution, held time.Duration) {
	s.reportMu.Lock()
	defer s.reportMu.Unlock()
	s.reported.Store(e)
	attrs := e.call.attrs(slog.Duration("held", held))
	stack := stacksBelow(entryOf((*slowLog).run))
	over := s.current.Load() != e
	if stack != "" && !over { // if the call is over, the stack is that of another call
		attrs = append(attrs, slog.String("stack", stack))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command holds the loop", attrs...)
	if over { // run may have ended before reported was set
		go s.reportEnd(e, time.Since(s.epoch)-e.since)
	}
}

// reportEnd logs once how long a reported call held the loop.
func (s *slowLog) reportEnd(e *execution, held time.Duration) {
	s.reportMu.Lock()
	defer s.reportMu.Unlock()
	if s.reported.CompareAndSwap(e, nil) {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "a command held the loop", e.call.attrs(slog.Duration("held", held))...)
	}
}

// attrs returns the peer, the session, the command and one more attribute. The arguments are never logged.
func (c *Call) attrs(more slog.Attr) []slog.Attr {
	return []slog.Attr{
		slog.String("peer", c.Peer.String()), slog.String("session", c.Peer.Session),
		slog.String("command", c.shown()), more,
	}
}
