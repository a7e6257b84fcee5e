//go:build !unix || aix

package descriptors

import "math"

// Limit returns how many descriptors the process may have. There is no limit here.
func Limit() int { return math.MaxInt32 }
