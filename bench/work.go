package main

// A work is what the clients of a measurement do.
type work struct {
	Name    string
	Summary string
	Conns   int
	Depth   int  // commands in flight on each conn
	Reply   int  // bytes in a reply's value; 0: what was asked
	Each    bool // a conn of its own for each command
	Resume  bool // and its TLS session resumed
	Pinned  bool // clients and server share one processor
	Idle    bool // conns that have had one command and are silent
}

// works are all of them. At one conn everything runs on one processor: waking another that sleeps costs
// more than all that is measured here, and happens or not as the scheduler likes.
var works = []work{
	{Name: "1", Summary: "60 B, 1 conn, one processor", Conns: 1, Depth: 1, Pinned: true},
	{Name: "16", Summary: "60 B, 16 conns", Conns: 16, Depth: 1},
	{Name: "256", Summary: "60 B, 256 conns", Conns: 256, Depth: 1},
	{Name: "deep-1", Summary: "60 B, 16 in flight on 1 conn, one processor", Conns: 1, Depth: 16, Pinned: true},
	{Name: "deep-16", Summary: "60 B, 16 in flight on each of 16 conns", Conns: 16, Depth: 16},
	{Name: "deep-256", Summary: "60 B, 16 in flight on each of 256 conns", Conns: 256, Depth: 16},
	{Name: "each-1", Summary: "a conn for each command, one at a time, one processor", Conns: 1, Depth: 1, Each: true, Pinned: true},
	{Name: "each-16", Summary: "a conn for each command, 16 at a time", Conns: 16, Depth: 1, Each: true},
	{Name: "resumed-16", Summary: "the same, with TLS sessions resumed", Conns: 16, Depth: 1, Each: true, Resume: true},
	{Name: "64K", Summary: "64 KiB replies, 16 conns", Conns: 16, Depth: 1, Reply: 64 << 10},
	{Name: "1M", Summary: "1 MiB replies, 16 conns", Conns: 16, Depth: 1, Reply: 1 << 20},
	{Name: "idle", Summary: "conns that have had one command and are silent", Conns: 10_000, Depth: 1, Idle: true},
}

// idleSteps are the numbers of idle conns at which memory is looked at, as parts of all of them.
var idleSteps = []float64{0.1, 0.25, 0.5, 1}

// does reports whether a contestant does a work.
func (c contestant) does(w work) bool {
	if c.can != nil {
		return c.can(w)
	}
	return keepsConns(w)
}

// keepsConns is for contestants whose conns are bytes over a socket and stay as long as one likes.
func keepsConns(w work) bool { return !w.Resume }

// secure is for those with TLS.
func secure(work) bool { return true }

// oneShot is for those that close behind each reply.
func oneShot(w work) bool { return w.Each && !w.Resume }

// callers is for those with a client of their own, which is not meant to be thrown away.
func callers(w work) bool { return !w.Each }

// small is for those whose replies are what they are.
func small(can func(work) bool) func(work) bool {
	return func(w work) bool { return w.Reply == 0 && can(w) }
}
