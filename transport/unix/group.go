//go:build unix && !aix

package unix

import (
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// none is the number of no user and of no group.
const none = 1<<32 - 1

// groupOf returns the group of a socket file.
func groupOf(info fs.FileInfo) uint32 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == trustedpath.UnmappedGID() {
		return none
	}
	return stat.Gid
}

// groupAt returns the group of the socket file at an address, as far as there is one.
func groupAt(addr net.Addr) uint32 {
	info, err := os.Lstat(addr.String())
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return none
	}
	return groupOf(info)
}

// mapped returns the groups that have a number of their own.
func mapped(groups []uint32) []uint32 {
	unmapped := trustedpath.UnmappedGID()
	if !slices.Contains(groups, unmapped) {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(gid uint32) bool { return gid == unmapped })
}
