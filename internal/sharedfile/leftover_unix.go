//go:build unix && !aix

package sharedfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// noFollowLeftover makes an open fail for a symbolic link, and not wait for a FIFO.
const noFollowLeftover = unix.O_NOFOLLOW | unix.O_NONBLOCK

const canLock = true

// lockTemp locks f, and reports whether no other process has it locked. The kernel drops the lock when f is closed.
func lockTemp(f *os.File) bool {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return false
		default:
			return err == nil
		}
	}
}
