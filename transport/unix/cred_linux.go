package unix

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// credsOfFD returns the credentials of the peer of a socket (unix(7), SO_PEERCRED).
func credsOfFD(fd int, socketGroup uint32) ([]transport.Credential, error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	groups, err := peerGroups(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt SO_PEERGROUPS", err)
	}
	return []transport.Credential{newCred(peer.Uid, peer.Gid, groups, peer.Pid, socketGroup)}, nil
}

// peerGroups returns the supplementary groups of the peer (unix(7), SO_PEERGROUPS). It returns none on kernels before
// 4.13.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 8)
	for {
		size := uint32(len(groups)) * 4
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return groups[:size/4], nil
		case unix.EINTR:
		case unix.ERANGE: // size is the size that the groups need
			groups = make([]uint32, max(int(size/4), 2*len(groups)))
		case unix.ENOPROTOOPT, unix.ENOSYS:
			return nil, nil
		default:
			return nil, errno
		}
	}
}
