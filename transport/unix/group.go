//go:build unix && !aix

package unix

import (
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/userns"
)

// noGroup is the number of no group.
const noGroup = 1<<32 - 1

// groupOf returns the group of a socket file. userns.Nobody is none: whoever seems to be in it may be in
// another group.
func groupOf(info fs.FileInfo) uint32 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == userns.Nobody {
		return noGroup
	}
	return stat.Gid
}

// groupAt returns the group of the socket file at an address, as far as there is one.
func groupAt(addr net.Addr) uint32 {
	info, err := os.Lstat(addr.String())
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return noGroup
	}
	return groupOf(info)
}
