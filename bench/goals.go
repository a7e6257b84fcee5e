package main

import (
	"fmt"
	"io"
)

// A goal is what a contestant must reach in one run: so many times another's rate, or at most so many times its
// CPU, p99 or memory. Where there is no other, the figure itself.
type goal struct {
	name       string
	work       string
	contestant string
	metric     metric
	against    string
	figure     float64
}

// goals are the lines that must hold, the most important first, on two processors. The figures are provisional: what
// prototypes of a loop without a reactor reached, less some air.
var goals = []goal{
	{"unix typed, 1 conn", "1", "rudderpost-unix", byRate, "floor-unix-loop", 0.90},
	{"unix typed, 16 conns", "16", "rudderpost-unix", byRate, "floor-unix-loop", 0.90},
	{"unix typed, 256 conns", "256", "rudderpost-unix", byRate, "floor-unix-loop", 0.90},
	{"unix untyped, 16 conns", "16", "rudderpost-unix-untyped", byRate, "floor-unix-loop", 1.00},
	{"unix, pipelined, 16 conns", "deep-16", "rudderpost-unix-untyped", byRate, "floor-unix-loop", 0.65},
	{"unix, pipelined, against jrpc2", "deep-16", "rudderpost-unix", byRate, "jrpc2", 8},
	{"against jrpc2, 1 conn", "1", "rudderpost-unix", byRate, "jrpc2", 2.2},
	{"against jrpc2, 16 conns", "16", "rudderpost-unix", byRate, "jrpc2", 3},
	{"against jrpc2, 256 conns", "256", "rudderpost-unix", byRate, "jrpc2", 3},
	{"against net/http, 16 conns", "16", "rudderpost-unix", byRate, "net/http", 2.5},
	{"against net/rpc/jsonrpc, 16 conns", "16", "rudderpost-unix", byRate, "net/rpc/jsonrpc", 2},
	{"against gRPC-go, 16 conns", "16", "rudderpost-unix-own", byRate, "grpc-go", 5},
	{"against ttrpc, 16 conns", "16", "rudderpost-unix-own", byRate, "ttrpc", 1.7},
	{"against ConnectRPC, 16 conns", "16", "rudderpost-unix", byRate, "connect", 4},
	{"against Redis, 16 conns", "16", "rudderpost-unix-untyped", byRate, "redis", 0.8},
	{"a conn for each command, against Kea", "each-1", "rudderpost-unix", byRate, "kea", 1.1},
	{"HTTP against Kea's control agent", "16", "rudderpost-http", byRate, "kea-ctrl-agent", 15},
	{"HTTP against net/http", "16", "rudderpost-http", byRate, "net/http-tcp", 0.9},
	{"tls, 16 conns", "16", "rudderpost-tls", byRate, "floor-tls-loop", 0.9},
	{"ws, 16 conns", "16", "rudderpost-ws", byRate, "floor-ws-loop", 0.85},
	{"quic, 16 conns", "16", "rudderpost-quic-stream", byRate, "floor-quic-stream-loop", 0.85},
	{"64 KiB replies, against jrpc2", "64K", "rudderpost-unix", byRate, "jrpc2", 4},
	{"unix, p99 at 256 conns", "256", "rudderpost-unix", byP99, "floor-unix-loop", 1.25},
	{"unix, CPU per command at 16 conns", "16", "rudderpost-unix", byCPU, "floor-unix-loop", 1.25},
	{"unix, allocations per command", "16", "rudderpost-unix", byAllocs, "", 2},
	{"unix, memory of idle conns", "idle", "rudderpost-unix", byMemory, "floor-unix-loop", 1},
}

// checkGoals says of each goal whether it is reached. It is missed when even the better end of the interval of
// the ratios is on the wrong side of the figure; one of which the run has nothing is neither.
func checkGoals(out io.Writer, found results) bool {
	all := true
	for _, g := range goals {
		s := g.sample(found)
		if len(s) == 0 {
			fmt.Fprintf(out, "–     %-40s not measured\n", g.name)
			continue
		}
		low, high := s.interval()
		missed, sign := high < g.figure, "≥"
		if g.metric.less {
			missed, sign = low > g.figure, "≤"
		}
		verdict := "pass "
		if missed {
			verdict, all = "FAIL ", false
		}
		fmt.Fprintf(out, "%s %-40s %s %.2f (%.2f–%.2f), wanted %s %.2f of %s\n", verdict, g.name, g.metric.name, s.median(), low, high, sign, g.figure, orItself(g.against))
	}
	return all
}

func (g goal) sample(found results) sample {
	if g.against == "" {
		return found.figures(g.work, g.contestant, g.metric)
	}
	return found.ratios(g.work, g.contestant, g.against, g.metric)
}

func orItself(against string) string {
	if against == "" {
		return "itself"
	}
	return against
}
