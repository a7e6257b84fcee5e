package main

import (
	"math"
	"strings"
)

// A metric is a figure of a result. More of it is better, or less.
type metric struct {
	name string
	of   func(result) float64
	less bool // less is better
	unit string
	per  float64 // how many of the unit are 1 of the figure; 0: one
}

// withUnit returns the name with the unit in which text writes the figure.
func (m metric) withUnit() string { return strings.TrimSpace(m.name + " " + m.unit) }

// text writes a figure in the unit.
func (m metric) text(figure float64) string {
	if m.per != 0 {
		figure *= m.per
	}
	return short(figure)
}

var (
	byRate    = metric{name: "rate", of: result.rate, unit: "1/s"}
	byCPU     = metric{name: "server CPU", of: func(r result) float64 { return r.CPU / r.Commands }, less: true, unit: "µs", per: 1e6}
	byP99     = metric{name: "p99", of: func(r result) float64 { return r.Latency[1] }, less: true, unit: "µs", per: 1e6}
	byMemory  = metric{name: "memory", of: result.memory, less: true, unit: "MiB", per: 1.0 / (1 << 20)}
	bySettled = metric{name: "memory without garbage", of: func(r result) float64 { return r.Settled }, less: true, unit: "MiB", per: 1.0 / (1 << 20)}
	bySize    = metric{name: "size", of: func(r result) float64 { return r.Size }, less: true, unit: "MiB", per: 1.0 / (1 << 20)}
	byAllocs  = metric{name: "allocations", of: func(r result) float64 { return math.Round(10*r.Allocs) / 10 }, less: true} // the measurement itself allocates
)

// memory returns the memory of all idle conns.
func (r result) memory() float64 {
	if len(r.Memory) == 0 {
		return 0
	}
	return r.Memory[len(r.Memory)-1]
}

func (r result) failed() bool { return r.Seconds == 0 }

// figures returns a metric of each round in which a contestant has not failed.
func (f results) figures(w, c string, m metric) (s sample) {
	for _, r := range f[w][c] {
		if !r.failed() {
			s = append(s, m.of(r))
		}
	}
	return s
}

// ratios returns the ratio of the metric of c to that of by, within each round.
func (f results) ratios(w, c, by string, m metric) (s sample) {
	others := f[w][by]
	for i, r := range f[w][c] {
		if i < len(others) && !r.failed() && !others[i].failed() && m.of(others[i]) > 0 {
			s = append(s, m.of(r)/m.of(others[i]))
		}
	}
	return s
}
