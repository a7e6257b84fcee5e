package main

import "math"

// A metric is a figure of a result of which less or more is better.
type metric struct {
	name string
	of   func(result) float64
	less bool // is better
}

var (
	byRate   = metric{name: "rate", of: result.rate}
	byCPU    = metric{name: "server CPU", of: func(r result) float64 { return r.CPU / r.Commands }, less: true}
	byP99    = metric{name: "p99", of: func(r result) float64 { return r.Latency[1] }, less: true}
	byMemory = metric{name: "memory", of: result.memory, less: true}
	bySize   = metric{name: "size", of: func(r result) float64 { return r.Size }, less: true}
	byAllocs = metric{name: "allocations", of: func(r result) float64 { return math.Round(10*r.Allocs) / 10 }, less: true} // asking costs some itself
)

// memory is what all idle conns took.
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

// ratios returns by which factor a contestant's metric is another's, within each round. Nothing is divided by
// what was measured in another round.
func (f results) ratios(w, c, by string, m metric) (s sample) {
	others := f[w][by]
	for i, r := range f[w][c] {
		if i < len(others) && !r.failed() && !others[i].failed() && m.of(others[i]) > 0 {
			s = append(s, m.of(r)/m.of(others[i]))
		}
	}
	return s
}
