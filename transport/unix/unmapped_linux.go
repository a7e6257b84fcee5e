package unix

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// In a user namespace that does not know everybody, the kernel calls each user from outside by one and
// the same number, and each group (user_namespaces(7)): it says nothing of who that is.
var (
	unmappedUID = sync.OnceValue(func() uint32 { return overflow("/proc/self/uid_map", "/proc/sys/kernel/overflowuid") })
	unmappedGID = sync.OnceValue(func() uint32 { return overflow("/proc/self/gid_map", "/proc/sys/kernel/overflowgid") })
)

// overflow returns the number that stands for all that have none, or none where everybody has one.
func overflow(mapFile, numberFile string) uint32 {
	ids, err := os.ReadFile(mapFile)
	if err == nil && mapsAll(string(ids)) {
		return none
	}
	const usual = 65534
	text, err := os.ReadFile(numberFile)
	if err != nil {
		return usual
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return usual
	}
	return uint32(number)
}

// mapsAll reports whether a uid_map has all numbers in it, as that of the first namespace has.
func mapsAll(ids string) bool {
	fields := strings.Fields(ids)
	return len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}
