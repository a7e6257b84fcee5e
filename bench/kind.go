package main

import (
	"strings"
	"time"
)

// The values of the kinds of commands. All have one length.
const (
	plain  = "abcdef" // the reply has the same value
	larger = "large!" // the reply has largeReply bytes
	slower = "slowly" // the reply comes after slowness; a server may answer other commands in the meantime
)

const (
	largeReply = 64 << 10
	slowness   = 5 * time.Millisecond
)

// A kind has the prepared requests of a client for one kind of commands, and the length of the replies.
type kind struct {
	value  string
	sixty  string // for protocols without an envelope
	expect []byte // a part of the reply
	batch  []byte // all requests that are in flight on a conn
	whole  int    // bytes of all replies to a batch
	tail   []byte // the last byte of these replies
}

// sixty returns a value for protocols without an envelope, so that all protocols move about 60 bytes.
func sixty(value string) string { return strings.Repeat(value, 10) }

// kinds returns the kinds of a work. Latency is measured for the first.
func (w work) kinds() []string {
	if w.Mixed {
		return []string{plain, larger, slower}
	}
	return []string{plain}
}

// next returns the kind of the n-th command of a conn. In a mix, five of a hundred are large and one is slow.
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

// An echo has the arguments and the result of a typed handler, of rudderpost and of its peers.
type echo struct {
	Value string `json:"value"`
}

// echoOf returns the typed handler of all contestants. It returns the value of the request, or a value of s.Reply bytes. In a
// mix it sleeps for some commands, so a contestant with a loop must run it elsewhere.
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
