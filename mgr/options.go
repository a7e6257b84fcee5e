package mgr

import (
	"log/slog"
	"time"

	"github.com/rudderpost/rudderpost/loop"
)

// Options say how a CommandMgr works. A nil *Options and every zero field mean the defaults, which
// are meant for production.
type Options struct {
	// Loop is where handlers run. nil: a loop of the manager's own, which Run runs.
	Loop loop.Poster

	// Authorizer decides on every call. nil: Owner().
	Authorizer Authorizer

	// Critical is the section that commands marked Critical run inside; its participants are the daemon's
	// to add. nil: they run like all others.
	Critical *loop.CriticalSection

	// Logger gets a line for each command, with who, what, result and duration, never arguments;
	// for each refused conn; and what went wrong. nil: slog.Default().
	Logger *slog.Logger

	// Recorder keeps the record of who did what. nil: nobody does.
	Recorder Recorder

	// Observer is told of conns and calls, for counters. nil: nobody is.
	Observer Observer

	Limits
}

// Limits bound what all peers together, and one peer alone, can ask of the daemon. Each has a
// default that is used where it is zero; a negative number takes a limit away.
type Limits struct {
	// MaxConns is how many conns one listener has at a time; one more is told 503 and closed. The last
	// place is kept for the owner: the user that the daemon runs as, and root. Where the owner's own conns fill
	// a limit, its oldest idle conn is closed for a new one. 4096.
	MaxConns int

	// MaxConnsPerPeer is the same for conns of one peer, over all listeners. 3072.
	MaxConnsPerPeer int

	// MaxInFlight is how many calls one conn has at a time; then it is not read from. 16.
	MaxInFlight int

	// MaxInFlightPerPeer is the same for all conns of one peer; more are answered 429. 1024.
	MaxInFlightPerPeer int

	// MaxQueued is how many calls wait for the loop; one more is answered 429. 4096.
	MaxQueued int

	// MaxBuffered is how many bytes peers may make the daemon hold, all together: of requests that are not
	// read to their end, of requests in flight, and of replies that are not sent. While more are held
	// requests are answered 429; one that would grow beyond the limit is answered 429, and its conn closes. Each conn of
	// the owner may hold 64 KiB in any case. 256 MiB.
	MaxBuffered int64

	// MaxBufferedPerPeer is the share of one peer in that, over all its conns. A peer that may run no command
	// has 64 KiB. A quarter of MaxBuffered.
	MaxBufferedPerPeer int64

	// MaxRate is how many calls per second one peer may make, with as many at once; more are
	// answered 429. None unless set.
	MaxRate int

	// WriteTimeout is how long a peer may take to read 32 KiB of what it is owed (Kea's rule); then
	// its conn is closed. 10 s.
	WriteTimeout time.Duration

	// CriticalTimeout is how long a critical command waits for the participants of the critical section
	// to pause; then it is answered 503, with their names. 5 s.
	CriticalTimeout time.Duration

	// SlowCommand is how long a command may hold the loop before the log says so: while it still does, with
	// who asked and the stack of the loop, and once more when it is over. 0: nobody looks.
	SlowCommand time.Duration

	// DrainTimeout is how long Run waits, at the end, for accepted calls. 10 s.
	DrainTimeout time.Duration
}

func (o *Options) withDefaults() Options {
	var filled Options
	if o != nil {
		filled = *o
	}
	if filled.Authorizer == nil {
		filled.Authorizer = Owner()
	}
	if filled.Logger == nil {
		filled.Logger = slog.Default()
	}
	filled.fill()
	return filled
}

// SetLimits replaces the limits, from now on, also for conns that are open; those that have more than they
// may now keep it. Zero fields mean the defaults.
func (m *CommandMgr) SetLimits(l Limits) {
	l.fill()
	m.limits.Store(&l)
	m.queue.mu.Lock()
	m.queue.most = l.MaxQueued
	m.queue.mu.Unlock()
	for _, c := range m.conversations() { // there may be room now
		c.mu.Lock()
		c.changed.Broadcast()
		c.mu.Unlock()
	}
}

const unlimited = 1<<31 - 1

func (l *Limits) fill() {
	limit(&l.MaxConns, 4096, unlimited)
	limit(&l.MaxConnsPerPeer, 3072, unlimited)
	limit(&l.MaxInFlight, 16, unlimited)
	limit(&l.MaxInFlightPerPeer, 1024, unlimited)
	limit(&l.MaxQueued, 4096, unlimited)
	limit(&l.MaxBuffered, 256<<20, 1<<62)
	limit(&l.MaxBufferedPerPeer, l.MaxBuffered/4, 1<<62)
	limit(&l.MaxRate, 0, 0)
	limit(&l.SlowCommand, 0, 0)
	limit(&l.WriteTimeout, 10*time.Second, 1<<62)
	limit(&l.CriticalTimeout, 5*time.Second, 1<<62)
	limit(&l.DrainTimeout, 10*time.Second, 1<<62)
}

func limit[T int | int64 | time.Duration](value *T, usual, none T) {
	switch {
	case *value == 0:
		*value = usual
	case *value < 0:
		*value = none
	}
}
