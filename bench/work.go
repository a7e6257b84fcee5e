package main

// A work describes the load of a measurement.
type work struct {
	Name    string
	Summary string
	Conns   int
	Depth   int  // commands in flight on each conn
	Reply   int  // bytes in the value of a reply; 0: the value of the request
	Longer  int  // how many windows it lasts; 0: one
	Each    bool // each command has a conn of its own and no id, as in Kea
	Mixed   bool // some commands are slow or have a large reply
	Pinned  bool // clients and server share one processor
	Idle    bool // conns that have had one command and are silent
}

// works has all works. At one conn everything runs on one processor: to wake another one costs more than everything that is
// measured, and the scheduler does so only sometimes.
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

// idleSteps are the numbers of idle conns at which memory is measured, as fractions of all.
var idleSteps = []float64{0.1, 0.25, 0.5, 1}

// does reports whether a contestant does a work.
func (c contestant) does(w work) bool { return c.can == nil || c.can(w) }

// The functions below are for contestant.can.

// steady is for contestants that are measured only with lasting conns and equal commands.
func steady(w work) bool { return !w.Each && !w.Idle && !w.Mixed }

// callers is for contestants whose client is not meant for one command only.
func callers(w work) bool { return !w.Each }

// oneShot is for contestants that close after each reply.
func oneShot(w work) bool { return w.Each }

// fixed is for contestants whose replies have a fixed length.
func fixed(w work) bool { return w.Reply == 0 && !w.Mixed }

// both combines two such functions.
func both(a, b func(work) bool) func(work) bool {
	return func(w work) bool { return a(w) && b(w) }
}
