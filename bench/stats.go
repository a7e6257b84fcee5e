package main

import (
	"math"
	"slices"
)

// A sample is one figure of each round.
type sample []float64

func (s sample) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (s sample) spread() (low, high float64) {
	if len(s) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(s), slices.Max(s)
}

// interval returns the figures of two rounds. The true median is between them with a probability of at least 95 %, whatever the
// distribution (order statistics: the number of rounds below the median is binomial). For up to eight rounds they are the
// least and the greatest figure. For fewer than six rounds the probability is lower: 94 % for five.
func (s sample) interval() (low, high float64) {
	if len(s) == 0 {
		return math.NaN(), math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	cut := 0
	outside := math.Pow(0.5, float64(n)) // the probability that at most cut rounds are below the median
	term := outside
	for cut+1 < n/2 {
		term *= float64(n-cut) / float64(cut+1)
		if 2*(outside+term) > 0.05 {
			break
		}
		outside += term
		cut++
	}
	return sorted[cut], sorted[n-1-cut]
}
