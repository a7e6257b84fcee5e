//go:build darwin || freebsd

package unix

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// credsOfFD returns the credentials of the peer of a socket (LOCAL_PEERCRED).
func credsOfFD(fd int, socketGroup uint32) ([]transport.Credential, error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	if peer.Ngroups < 1 || int(peer.Ngroups) > len(peer.Groups) {
		return nil, os.NewSyscallError("getsockopt LOCAL_PEERCRED", unix.EINVAL)
	}
	groups := peer.Groups[:peer.Ngroups] // the first one is the effective one
	return []transport.Credential{newCred(peer.Uid, groups[0], groups, peerPID(fd), socketGroup)}, nil
}
