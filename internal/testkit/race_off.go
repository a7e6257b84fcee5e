//go:build !race

package testkit

// RaceEnabled reports whether the test was built with the race detector, which makes code slower and its memory larger.
const RaceEnabled = false
