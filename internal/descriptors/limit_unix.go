//go:build unix && !aix

package descriptors

import (
	"math"
	"sync"

	"golang.org/x/sys/unix"
)

// Limit returns how many descriptors the process may have (RLIMIT_NOFILE), as it was at the first call. The Go runtime
// raises the soft limit to the hard limit when a program starts.
var Limit = sync.OnceValue(func() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 { //nolint:unconvert // Cur is an int64 on FreeBSD
		return math.MaxInt32
	}
	return int(limit.Cur)
})
