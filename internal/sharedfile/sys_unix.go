//go:build unix && !aix

package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// noFollow makes an open fail for a symbolic link, and not block for a FIFO.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// keepAttributes gives a new file the owner, the group and the ACL of an old one.
func keepAttributes(f *os.File, path string, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	was, now := old.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if was.Uid != now.Uid || was.Gid != now.Gid {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf(
				"it belongs to the user %d and the group %d, which the user %d cannot give to a new file (%w); work as root, or as that user (sudo -u '#%d' …)",
				was.Uid, was.Gid, os.Geteuid(), syscall.EPERM, was.Uid)}
		}
	}
	if err := copyACL(f, path); err != nil {
		return &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf("its ACL cannot be kept: %w; remove it first (setfacl -b)", err)}
	}
	return nil
}

// links returns the number of names of a file.
func links(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Nlink) }

// canLock says that lockTemp works on this system.
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

// How long Lock waits for another process, and how often it tries.
const (
	lockTimeout  = 10 * time.Second
	lockInterval = 20 * time.Millisecond
)

// Lock locks the file at path until unlock is called. It waits up to 10 s while another process has locked the file.
// It makes the file, with mode 0600, if it does not exist, and does not remove it: the kernel unlocks it when the
// process ends. The rules say which file is accepted, because a file of an untrusted user could stay locked.
func Lock(path string, rules trustedpath.Rules) (unlock func(), err error) {
	f, _, err := rules.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for start := time.Now(); ; time.Sleep(lockInterval) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		busy := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
		switch {
		case err == nil:
			return func() { _ = f.Close() }, nil
		case busy && time.Since(start) < lockTimeout:
			continue
		case busy:
			err = fmt.Errorf("another program has locked it for %s; find that program (lsof), and try again", lockTimeout)
		}
		_ = f.Close()
		return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
	}
}

// SyncDir writes the entries of the folder dir to the disk, so that a new name in it survives a power failure. It blocks
// until the disk has them.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
