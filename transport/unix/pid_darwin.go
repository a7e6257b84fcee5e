package unix

import "golang.org/x/sys/unix"

// peerPID returns the process id of the peer, or 0 if it is unknown.
func peerPID(fd int) int32 {
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		return 0
	}
	return int32(pid)
}
