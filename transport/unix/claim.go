//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A claim is the right to have a socket at a path. It lasts as long as the lock file beside the path
// is locked. The directory is kept open, and everything happens relative to it, so that whoever
// renames it or swaps a symbolic link to it cannot lead us elsewhere.
type claim struct {
	path string   // for messages
	dir  *os.Root // the directory of the path
	name string   // the socket file's name in it
	lock *os.File
	file fs.FileInfo // the socket file that we put there; nil: none yet
}

// claimPath makes the claim, unless another daemon has it.
func claimPath(ctx context.Context, path string, rules trustedpath.Rules) (*claim, error) {
	dir, err := openDir(filepath.Dir(path), rules)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	lock, err := takeLock(ctx, dir, name+lockSuffix, rules)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return &claim{path: path, dir: dir, name: name, lock: lock}, nil
}

// openDir opens the folder for a socket. A folder in which another user can make or replace files is refused: the user could
// replace the socket; a sticky bit would not keep the user from making the file first.
func openDir(path string, rules trustedpath.Rules) (*os.Root, error) {
	err := rules.Folder(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make it, with mode 0700 or 0750", err)
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// vacate makes sure that the path may be taken: nothing is there, or a socket that nobody listens
// at, which our own will replace.
func (c *claim) vacate(ctx context.Context) error {
	info, err := c.dir.Lstat(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return inTheWay(c.path, info)
	}
	conn, err := c.connect(ctx)
	switch {
	case err == nil:
		_ = conn.Close()
		return errInUse
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.EPROTOTYPE): // a full backlog; another kind of socket
		return errInUse
	}
	return fmt.Errorf("cannot tell whether a daemon owns the socket that is there; stop it, or remove the file: %w", err)
}

// removeSocket removes the socket file.
func (c *claim) removeSocket() error {
	if c.file == nil {
		return nil
	}
	return c.remove(c.name, c.file)
}

// release gives up the claim and removes the lock file, after the socket file is gone. The lock is
// held until then, so that whoever starts next finds all of it or nothing.
func (c *claim) release() error {
	locked, err := c.lock.Stat()
	if err == nil {
		err = c.remove(c.name+lockSuffix, locked)
	}
	return errors.Join(err, c.lock.Close(), c.dir.Close())
}

// remove removes a file of the directory if it is still the one that we know.
func (c *claim) remove(name string, ours fs.FileInfo) error {
	info, err := c.dir.Lstat(name)
	if err == nil && os.SameFile(info, ours) {
		err = c.dir.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// errInUse says that the path is another daemon's.
var errInUse = fmt.Errorf("%w: another daemon owns this socket; stop it, or choose another path", syscall.EADDRINUSE)

// inTheWay says that something stands where a file of ours should, and what it is.
func inTheWay(path string, info fs.FileInfo) error {
	what := "a special file"
	switch info.Mode().Type() {
	case 0:
		what = "a regular file"
	case fs.ModeDir:
		what = "a directory"
	case fs.ModeSymlink:
		what = "a symbolic link"
	case fs.ModeSocket:
		what = "a socket"
	}
	return &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf("it is %s; move it away, or choose another path", what)}
}
