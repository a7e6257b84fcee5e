package main

import "math/bits"

// A histogram counts durations, each to within about a percent.
type histogram struct {
	counts [64 * parts]uint64
	total  uint64
}

const parts = 64 // of each power of two

func (h *histogram) add(nanoseconds int64) {
	h.counts[bucket(uint64(max(nanoseconds, 0)))]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantiles returns the median, 99 % and 99.9 % in seconds.
func (h *histogram) quantiles() (q [3]float64) {
	for i, part := range []float64{0.5, 0.99, 0.999} {
		rank := uint64(part * float64(h.total))
		var seen uint64
		for b, n := range h.counts {
			if seen += n; seen > rank {
				q[i] = float64(least(b)) / 1e9
				break
			}
		}
	}
	return q
}

// bucket returns the bucket of a number: below parts each number has one, above that its highest bits decide.
func bucket(n uint64) int {
	if n < parts {
		return int(n)
	}
	shift := bits.Len64(n) - bits.Len64(parts)
	return shift*parts + int(n>>shift)
}

// least returns the smallest number of a bucket.
func least(b int) uint64 {
	if b < 2*parts {
		return uint64(b)
	}
	shift := b/parts - 1
	return uint64(b-shift*parts) << shift
}
