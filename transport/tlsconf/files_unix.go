//go:build unix && !aix

package tlsconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile is what those who change a CA lock. The kernel lets go of the lock when a process ends.
const lockFile = "lock"

// lockDir waits until nobody else changes the CA in dir, and keeps the others waiting until unlock is
// called.
func lockDir(dir string) (unlock func(), err error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
		}
	}
}

// checkDir refuses a directory in which others could put files of theirs.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s: others may write to it (mode %#o); do: chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkKeyMode refuses a key that others can read. Root may let a group read it, that of the daemon.
func checkKeyMode(path string, info fs.FileInfo) error {
	bad := fs.FileMode(0o077)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid == 0 {
		bad = 0o037
	}
	if info.Mode()&bad != 0 {
		return fmt.Errorf("%s: others may read this key (mode %#o); do: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
