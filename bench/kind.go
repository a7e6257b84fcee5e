package main

import (
	"strings"
	"time"
)

// A kind of command is known by what it says, which is of one length.
const (
	plain  = "abcdef" // is to be answered as it is
	larger = "large!" // with largeReply bytes
	slower = "slowly" // after slowness; whoever can, answers others meanwhile
)

const (
	largeReply = 64 << 10
	slowness   = 5 * time.Millisecond
)

// A kind is what a client has prepared for one kind of commands, and learnt about it.
type kind struct {
	value  string
	sixty  string // for those that have no envelope
	expect []byte // stands in the reply
	batch  []byte // all that are in flight on a conn at once
	whole  int    // bytes of all replies to them
	tail   []byte // the last byte of those
}

// sixty is what those say that have no envelope of their own, so that all move about the same.
func sixty(value string) string { return strings.Repeat(value, 10) }

// kinds are those that a work has; the first is what is measured.
func (w work) kinds() []string {
	if w.Mixed {
		return []string{plain, larger, slower}
	}
	return []string{plain}
}

// next is the kind of a conn's n-th command: in a hundred of a mix there are five large ones and a slow one.
func (d *driver) next(n int) *kind {
	switch {
	case !d.Work.Mixed:
	case n%20 == 0:
		return &d.kinds[1]
	case n%100 == 50:
		return &d.kinds[2]
	}
	return &d.kinds[0]
}

// An echo is what a typed handler takes and gives, here and at the peers.
type echo struct {
	Value string `json:"value"`
}

// echoOf returns the handler of every contestant that has a typed one: it answers what it was asked, or so many bytes.
// In a mix it may take its time: who runs his handlers on a loop must not have the slow ones there.
func echoOf(s *site) func(echo) echo {
	large := echo{strings.Repeat("x", max(s.Reply, largeReply))}
	switch {
	case s.Reply > 0:
		return func(echo) echo { return large }
	case !s.Mixed:
		return func(in echo) echo { return in }
	}
	return func(in echo) echo {
		switch {
		case strings.HasPrefix(in.Value, larger):
			return large
		case strings.HasPrefix(in.Value, slower):
			time.Sleep(slowness)
		}
		return in
	}
}
