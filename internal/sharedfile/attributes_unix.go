//go:build unix && !aix

package sharedfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// noFollow makes an open fail for a symbolic link, and not wait for a FIFO.
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
