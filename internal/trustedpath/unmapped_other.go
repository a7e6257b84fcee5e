//go:build !linux

package trustedpath

// none is the number of no user and of no group.
const none = 1<<32 - 1

// UnmappedUID returns the number of no user: only Linux has user namespaces.
func UnmappedUID() uint32 { return none }

// UnmappedGID returns the number of no group.
func UnmappedGID() uint32 { return none }
