package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A goal is a bound for a contestant in one run: the least ratio of its rate to that of another contestant, or the greatest
// ratio of its p99, memory or size. Without another contestant it is a bound for the figure itself.
type goal struct {
	name       string
	work       string
	contestant string
	metric     metric
	against    string
	figure     float64
}

// goals hold on a machine with two processors. A line without the name of a handler measures the typed one.
var goals = slices.Concat(
	row("unix, untyped", "rudderpost-unix-untyped", byRate, "floor-unix-loop", "1 16 256 deep-1 deep-16 deep-256", 1, 1, 1, 0.95, 0.72, 0.68),
	row("unix, typed", "rudderpost-unix", byRate, "floor-unix-loop", "1 16 256", 0.9, 0.85, 0.85),
	row("untyped, jrpc2's raw handler", "rudderpost-unix-untyped", byRate, "jrpc2-raw", "1 16 256 deep-1 deep-16 deep-256", 2.4, 3.4, 3.5, 20, 20, 22),
	row("typed, jrpc2's typed handler", "rudderpost-unix", byRate, "jrpc2", "1 16 256", 2.7, 4, 3.8),
	row("typed, net/http", "rudderpost-unix", byRate, "net/http", "1 16 256", 1.8, 2.6, 2.6),
	row("typed, own clients, gRPC-go", "rudderpost-unix-client", byRate, "grpc-go", "1 16 256", 3.5, 5, 5.5),
	row("typed, own clients, ttrpc", "rudderpost-unix-client", byRate, "ttrpc", "1 16 256", 1.7, 1.6, 1.6),
	row("untyped, HAProxy", "rudderpost-unix-untyped", byRate, "haproxy", "1 16 256", 1, 1, 1.05),
	row("untyped, Redis", "rudderpost-unix-untyped", byRate, "redis", "1 16 256 deep-1 deep-16 deep-256", 0.85, 0.75, 0.75, 1, 1.3, 1.3),
	row("one command per conn, Kea", "rudderpost-unix", byRate, "kea", "each-1 each-16", 1.3, 3),
	row("HTTP, Kea's control agent", "rudderpost-http", byRate, "kea-ctrl-agent", "1 16", 10, 20),
	row("large replies", "rudderpost-unix-untyped", byRate, "floor-unix", "64K-16 64K-256 1M-16 1M-256", 0.9, 0.9, 0.9, 0.9),
	row("tls", "rudderpost-tls", byRate, "floor-tls-loop", "16 256", 0.93, 0.93),
	row("ws", "rudderpost-ws", byRate, "floor-ws-loop", "16 256", 0.93, 0.93),
	row("wss", "rudderpost-wss", byRate, "floor-wss-loop", "16 256", 0.93, 0.93),
	row("http", "rudderpost-http", byRate, "floor-http-loop", "16 256", 0.93, 0.93),
	row("quic, a stream per command", "rudderpost-quic-stream", byRate, "floor-quic-stream", "16 256", 0.97, 0.97),
	row("quic, many on one stream", "rudderpost-quic-long", byRate, "floor-quic-long", "16 256", 0.93, 0.93),
	row("idle conn, memory", "rudderpost-unix", byMemory, "floor-unix", "idle", 0.65),
	row("p99", "rudderpost-unix", byP99, "floor-unix", "256", 1.2),
	row("allocations, untyped", "rudderpost-unix-untyped", byAllocs, "", "16", 1),
	row("allocations, typed", "rudderpost-unix", byAllocs, "", "16", 6),
	row("tls resumed, Go's default full handshake", "rudderpost-tls-resumed", byRate, "floor-tls-default", "each-1 each-16", 1.5, 1.5),
	row("stripped greeter, net/http hello world", "greeter", bySize, "hello", sizeWork, 0.8),
)

// row returns a goal for each of some works.
func row(name, contestant string, m metric, against, works string, figures ...float64) (row []goal) {
	for i, w := range strings.Fields(works) {
		row = append(row, goal{name + ", " + w, w, contestant, m, against, figures[i]})
	}
	return row
}

// A verdict is the result of a run for a goal.
type verdict struct {
	goal
	sample
	low, high float64
	missed    bool
}

// judge returns the verdict. A goal is missed if even the better end of the interval is on the wrong side.
func (g goal) judge(found results) verdict {
	v := verdict{goal: g, sample: found.figures(g.work, g.contestant, g.metric)}
	if g.against != "" {
		v.sample = found.ratios(g.work, g.contestant, g.against, g.metric)
	}
	v.low, v.high = v.interval()
	v.missed = v.high < g.figure
	if g.metric.less {
		v.missed = v.low > g.figure
	}
	return v
}

// reportGoals writes a table, and returns true if no goal is missed. A goal that could not be measured is not missed.
func reportGoals(out io.Writer, goals []goal, found results) bool {
	all := true
	fmt.Fprintf(out, "| | line | contestant | metric | against | wanted | median | 95 %% | rounds |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range goals {
		v := g.judge(found)
		mark, sign := "reached", "≥"
		if g.metric.less {
			sign = "≤"
		}
		switch {
		case len(v.sample) == 0:
			mark = "not measured"
		case v.missed:
			mark, all = "**missed**", false
		case v.median() < g.figure != g.metric.less && v.median() != g.figure:
			mark = "within the noise"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s %.2f | %.2f | %.2f–%.2f | %d |\n", mark, g.name, g.contestant, g.metric.name, g.against, sign, g.figure, v.median(), v.low, v.high, len(v.sample))
	}
	return all
}
