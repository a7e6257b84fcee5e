//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"golang.org/x/sys/unix"
)

// lockSuffix is what the lock file's name has behind the socket's. It is Kea's.
const lockSuffix = ".lock"

// takeLock creates a lock file and locks it. The kernel lets go of the lock when the process ends,
// however it ends; a file that is left behind means nothing.
func takeLock(ctx context.Context, dir *os.Root, name string, rules trustedpath.Rules) (*os.File, error) {
	for ctx.Err() == nil {
		f, err := openLock(dir, name, rules)
		if err != nil {
			return nil, err
		}
		if err := flock(f); err != nil {
			_ = f.Close()
			return nil, err
		}
		current, err := isCurrent(dir, name, f)
		if current {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}

// openLock opens the lock file, and refuses another kind of file, and one of a user that is not trusted: that user could
// keep it locked.
func openLock(dir *os.Root, name string, rules trustedpath.Rules) (*os.File, error) {
	info, err := dir.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, inTheWay(filepath.Join(dir.Name(), name), info)
	}
	f, _, err := rules.Open(filepath.Join(dir.Name(), name), os.O_RDWR|os.O_CREATE, 0o600) // isCurrent sees that it is in dir
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; use a directory that this user may write to, and remove what another user's daemon left in it", err)
	}
	return f, err
}

// flock locks f, or says that another daemon has.
func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			return errInUse
		}
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}

// isCurrent reports whether f is what stands at its name. The last owner may have removed it between
// our opening and our locking it: then our lock keeps nobody out.
func isCurrent(dir *os.Root, name string, f *os.File) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, info), err
}
