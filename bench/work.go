package main

// A work is what the clients of a measurement do.
type work struct {
	Name    string
	Summary string
	Conns   int
	Depth   int  // commands in flight on each conn
	Reply   int  // bytes in a reply's value; 0: what was asked
	Longer  int  // how many windows it takes; 0: one
	Each    bool // a conn of its own for each command, which has no id: Kea's way
	Mixed   bool // now and then a command that is slow, or has a large reply
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
	{Name: "64K-16", Summary: "64 KiB replies, 16 conns", Conns: 16, Depth: 1, Reply: 64 << 10},
	{Name: "64K-256", Summary: "64 KiB replies, 256 conns", Conns: 256, Depth: 1, Reply: 64 << 10},
	{Name: "1M-16", Summary: "1 MiB replies, 16 conns", Conns: 16, Depth: 1, Reply: 1 << 20},
	{Name: "1M-256", Summary: "1 MiB replies, 256 conns", Conns: 256, Depth: 1, Reply: 1 << 20, Longer: 4},
	{Name: "mixed", Summary: "64 conns; 1 % of the commands take 5 ms beside the others, 5 % have a reply of 64 KiB; latency is that of the rest", Conns: 64, Depth: 1, Mixed: true},
	{Name: "idle", Summary: "conns that have had one command and are silent", Conns: 10_000, Depth: 1, Idle: true},
}

// idleSteps are the numbers of idle conns at which memory is looked at, as parts of all of them.
var idleSteps = []float64{0.1, 0.25, 0.5, 1}

// does reports whether a contestant does a work.
func (c contestant) does(w work) bool { return c.can == nil || c.can(w) }

// What a contestant can do. Where nothing is said it does everything.

// steady is for those whose conns and commands are interesting, and no more.
func steady(w work) bool { return !w.Each && !w.Idle && !w.Mixed }

// callers is for those with a client of their own, which is not meant to be thrown away.
func callers(w work) bool { return !w.Each }

// oneShot is for those that close behind each reply.
func oneShot(w work) bool { return w.Each }

// fixed is for those whose replies are what they are.
func fixed(w work) bool { return w.Reply == 0 && !w.Mixed }

// both combines two of them.
func both(a, b func(work) bool) func(work) bool {
	return func(w work) bool { return a(w) && b(w) }
}
