package mgr

import (
	"log/slog"
	"time"

	"github.com/rudderpost/rudderpost/loop"
)

// Options are the settings of a CommandMgr. A nil *Options and each zero field mean the defaults, which are meant for
// production.
type Options struct {
	// Loop runs the handlers. Default: a loop of the manager's own, which Run runs.
	Loop loop.Poster

	// Authorizer decides for each call whether it may run. Default: Owner().
	Authorizer Authorizer

	// Critical is the section in which commands with Critical run. The daemon adds the participants. nil: critical commands
	// run like all others.
	Critical *loop.CriticalSection

	// Logger gets a line for each command, each refused conn and each error. The line of a command has the peer, the session,
	// the command, the result and the duration, and never the arguments. Default: slog.Default().
	Logger *slog.Logger

	// Recorder writes the record, for example package audit. nil: there is no record.
	Recorder Recorder

	// Observer is told of conns and results, for metrics. nil: none.
	Observer Observer

	Limits
}

// Limits bound the resources that one peer, and all peers together, can use. Each zero field means its default. A negative
// number removes the limit. CONTRIBUTING.md says what a new limit needs.
type Limits struct {
	// MaxConns is the number of conns that one listener may have open. One more gets a reply with result 503, and is closed.
	// The last place is kept for the owner: the user that the daemon runs as, and root. When the owner's own conns reach a
	// limit, the manager closes the owner's oldest idle conn for a new one. Default 4096.
	MaxConns int

	// MaxConnsPerPeer is the same for all conns of one peer, on all listeners together. Default 3072.
	MaxConnsPerPeer int

	// MaxInFlight is the window: the number of calls in flight at which the manager stops reading a conn. Default 16.
	MaxInFlight int

	// MaxInFlightPerPeer is the number of calls in flight on all conns of one peer. More get result 429. Default 1024.
	MaxInFlightPerPeer int

	// MaxQueued is the number of calls that may wait for the loop. More get result 429. Default 4096.
	MaxQueued int

	// MaxBuffered is the number of bytes that the daemon holds for all peers together: incomplete requests, requests in flight
	// and replies that are not written. When it is reached, a request gets result 429; if that request is incomplete, its
	// conn closes. Each conn of the owner may hold 64 KiB in any case. Default 256 MiB.
	MaxBuffered int64

	// MaxBufferedPerPeer is the same for all conns of one peer. It is 64 KiB for a peer that may run no command. Default: a
	// quarter of MaxBuffered.
	MaxBufferedPerPeer int64

	// MaxRate is the number of calls that one peer may make in a second, and at once. More get result 429. Default: no limit.
	MaxRate int

	// WriteTimeout is the time in which a peer must read 32 KiB of its replies (Kea's rule). The manager writes replies in
	// batches. A batch of n bytes has 1 + n/32Ki times WriteTimeout, from the beginning of its write to the end. Then the
	// manager closes the conn. Default 10 s.
	WriteTimeout time.Duration

	// CriticalTimeout is the time in which the participants must pause for a critical command. Then the command gets result
	// 503, and the reply names the participants that did not pause. Default 5 s.
	CriticalTimeout time.Duration

	// SlowCommand is the time after which a command that holds the loop is logged. The log has a line with the peer and the
	// stack of the loop while the command runs, and another one when it has ended. Default: no line.
	SlowCommand time.Duration

	// DrainTimeout is the time that Run waits for accepted calls at the end. Default 10 s.
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

// SetLimits replaces the limits, also for open conns. A conn or a peer that has more than the new limits allow keeps it. Zero
// fields mean the defaults.
func (m *CommandMgr) SetLimits(l Limits) {
	l.fill()
	m.limits.Store(&l)
	m.queue.mu.Lock()
	m.queue.limit = l.MaxQueued
	m.queue.mu.Unlock()
	for _, c := range m.openConns() { // the window may be larger now
		c.mu.Lock()
		c.changed.Broadcast()
		c.mu.Unlock()
	}
}

const (
	unlimited = 1<<31 - 1
	noTimeout = time.Duration(1 << 62)
)

// fill sets each zero field to its default, and each negative field to the value that means no limit. That value is 0 for
// MaxRate and SlowCommand.
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
	limit(&l.WriteTimeout, 10*time.Second, noTimeout)
	limit(&l.CriticalTimeout, 5*time.Second, noTimeout)
	limit(&l.DrainTimeout, 10*time.Second, noTimeout)
}

func limit[T int | int64 | time.Duration](value *T, usual, none T) {
	switch {
	case *value == 0:
		*value = usual
	case *value < 0:
		*value = none
	}
}
