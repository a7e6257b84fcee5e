package trustedpath

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// none is the number of no user and of no group.
const none = 1<<32 - 1

// In a user namespace that does not map all users, the kernel shows each user that is not mapped by one and the
// same number, and each group (user_namespaces(7)). The number says nothing about which user that is.
var (
	unmappedUID = sync.OnceValue(func() uint32 { return overflow("/proc/self/uid_map", "/proc/sys/kernel/overflowuid") })
	unmappedGID = sync.OnceValue(func() uint32 { return overflow("/proc/self/gid_map", "/proc/sys/kernel/overflowgid") })
)

// UnmappedUID returns the number that stands for all users without a number in this user namespace; 1<<32 - 1: none.
func UnmappedUID() uint32 { return unmappedUID() }

// UnmappedGID is UnmappedUID for groups.
func UnmappedGID() uint32 { return unmappedGID() }

// overflow returns the number that stands for all ids that are not mapped, or none if all ids are mapped.
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

// mapsAll reports whether a uid_map has all numbers, as in the initial namespace.
func mapsAll(ids string) bool {
	fields := strings.Fields(ids)
	return len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}
