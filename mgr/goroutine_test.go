package mgr_test

import (
	"fmt"
	"runtime"
)

// goroutine returns the number of the goroutine that calls it.
func goroutine() (n uint64) {
	var stack [64]byte
	_, _ = fmt.Sscanf(string(stack[:runtime.Stack(stack[:], false)]), "goroutine %d ", &n)
	return n
}
