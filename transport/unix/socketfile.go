//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A socketFile owns the path of a listening socket. It owns the path while the lock file beside the socket is locked.
// The folder is kept open, and all files are used relative to it. So another process cannot redirect them by renaming
// the folder or by changing a symbolic link on the way.
type socketFile struct {
	path string   // for errors
	dir  *os.Root // the folder of the path
	name string   // of the socket file in dir
	lock *os.File
	file fs.FileInfo // the socket file that listen has made; nil: not yet
}

// lockSocketPath locks the path. The error is errInUse when another daemon has locked it. The caller must call
// unlock.
func lockSocketPath(ctx context.Context, path string, rules trustedpath.Rules) (*socketFile, error) {
	dir, err := openFolder(filepath.Dir(path), rules)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	lock, err := acquireLock(ctx, dir, name+lockSuffix, rules)
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return &socketFile{path: path, dir: dir, name: name, lock: lock}, nil
}

// openFolder opens the folder for a socket. It refuses a folder in which another user can make or replace files: that
// user could replace the socket. A sticky bit does not help, because the user could make the file first.
func openFolder(path string, rules trustedpath.Rules) (*os.Root, error) {
	err := rules.Folder(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make it, with mode 0700 or 0750", err)
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// lockSuffix is what the name of the lock file adds to the name of the socket. Kea has the same.
const lockSuffix = ".lock"

// acquireLock creates the lock file and locks it. The kernel unlocks the file when the process ends for any reason,
// so a lock file that is left behind has no effect.
func acquireLock(ctx context.Context, dir *os.Root, name string, rules trustedpath.Rules) (*os.File, error) {
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

// openLock opens the lock file. It refuses a file that is not regular, and a file of a user that is not trusted: that
// user could keep the file locked.
func openLock(dir *os.Root, name string, rules trustedpath.Rules) (*os.File, error) {
	info, err := dir.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return nil, wrongFileError(filepath.Join(dir.Name(), name), info)
	}
	f, _, err := rules.Open(filepath.Join(dir.Name(), name), os.O_RDWR|os.O_CREATE, 0o600) // isCurrent checks that the file is in dir
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; use a directory that this user may write to, and remove what another user's daemon left in it", err)
	}
	return f, err
}

// flock locks f without waiting. The error is errInUse when another process has locked f.
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

// isCurrent reports whether f is the file that has this name in dir now. The owner before may have removed the file
// after openLock and before flock. Then the lock on f would not keep other daemons out.
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

// backlog is the length of the kernel's queue of connections before Accept. The kernel lowers it to its limit
// (net.core.somaxconn).
const backlog = 4096

// listen makes a listening socket at the path. It makes the socket under a temporary name, gives it its owner and
// mode, listens, and then renames it. So the path never shows a wrong owner or mode, and clients cannot connect
// before both are right.
func (c *socketFile) listen(ctx context.Context, o ownership) (sock *net.UnixListener, err error) {
	if err := c.checkPathIsFree(ctx); err != nil {
		return nil, err
	}
	temp := tempSocketName(c.name)
	f, info, err := c.bind(temp)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove(temp, info))
		}
		_ = f.Close()
	}()
	if err := c.setOwnerAndMode(temp, o); err != nil {
		return nil, err
	}
	if info, err = c.statSame(temp, info); err != nil {
		return nil, err
	}
	if sock, err = listenOn(f); err != nil {
		return nil, err
	}
	if err := c.dir.Rename(temp, c.name); err != nil {
		_ = sock.Close()
		return nil, err
	}
	c.file = info
	return sock, nil
}

// checkPathIsFree returns nil if the path does not exist, or has a socket on which no process listens; listen
// replaces that socket. It returns errInUse if a process listens, and an error for any other kind of file.
func (c *socketFile) checkPathIsFree(ctx context.Context) error {
	info, err := c.dir.Lstat(c.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return wrongFileError(c.path, info)
	}
	conn, err := c.connect(ctx)
	switch {
	case err == nil:
		_ = conn.Close()
		return errInUse
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.EPROTOTYPE): // the queue of a listener is full; another type of socket
		return errInUse
	}
	return fmt.Errorf("cannot tell whether a daemon owns the socket that is there; stop it, or remove the file: %w", err)
}

// tempSocketName returns the temporary name of a socket. It is short for any name. It is always the same, so that the
// next daemon removes the file that a killed daemon has left. Only the process that has locked the path uses it.
func tempSocketName(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return fmt.Sprintf(".%s.%08x", name[:min(len(name), 32)], h.Sum32())
}

// bind makes a socket with a name in dir, and returns the socket and the file.
func (c *socketFile) bind(name string) (*os.File, fs.FileInfo, error) {
	if info, err := c.dir.Lstat(name); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, nil, wrongFileError(filepath.Join(c.dir.Name(), name), info)
		}
		if err := c.dir.Remove(name); err != nil {
			return nil, nil, err
		}
	}
	f, err := newSocket(name)
	if err != nil {
		return nil, nil, err
	}
	err = c.withPath(name, func(path string) error {
		if len(path) > maxPath {
			return tooLong(path)
		}
		return os.NewSyscallError("bind", unix.Bind(int(f.Fd()), &unix.SockaddrUnix{Name: path}))
	})
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	info, err := c.dir.Lstat(name)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		err = wrongFileError(filepath.Join(c.dir.Name(), name), info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// newSocket makes a socket that child processes do not inherit.
func newSocket(name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// setOwnerAndMode sets the group and mode of the socket file. The umask of the process has no effect on them.
func (c *socketFile) setOwnerAndMode(name string, o ownership) error {
	if o.gid >= 0 {
		if err := c.dir.Lchown(name, -1, o.gid); err != nil {
			return fmt.Errorf("%w; give the socket to a group that the daemon's user is in", err)
		}
	}
	return c.dir.Chmod(name, o.mode)
}

// statSame returns the information about a file after its group and mode have changed. It is an error if the name has
// another file than before.
func (c *socketFile) statSame(name string, before fs.FileInfo) (fs.FileInfo, error) {
	info, err := c.dir.Lstat(name)
	if err != nil {
		return before, err
	}
	if !os.SameFile(info, before) {
		return before, wrongFileError(filepath.Join(c.dir.Name(), name), info)
	}
	return info, nil
}

// connect connects to the process that listens at the path.
func (c *socketFile) connect(ctx context.Context) (conn *net.UnixConn, err error) {
	err = c.withPath(c.name, func(path string) error {
		conn, err = connect(ctx, path)
		return err
	})
	return conn, err
}

// withPath calls do with a path to a file in dir. The path leads through the descriptor of dir where the system has
// such paths (Linux with /proc); elsewhere it is the ordinary path.
func (c *socketFile) withPath(name string, do func(path string) error) error {
	dir, err := c.dir.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if path, ok := descriptorPath(dir); ok {
		return do(path + "/" + name)
	}
	return do(filepath.Join(c.dir.Name(), name))
}

// removeSocket removes the socket file that listen has made.
func (c *socketFile) removeSocket() error {
	if c.file == nil {
		return nil
	}
	return c.remove(c.name, c.file)
}

// unlock removes the lock file and gives up the path. The caller removes the socket file first: the lock is held
// until then, so that the next daemon finds both files or none.
func (c *socketFile) unlock() error {
	locked, err := c.lock.Stat()
	if err == nil {
		err = c.remove(c.name+lockSuffix, locked)
	}
	return errors.Join(err, c.lock.Close(), c.dir.Close())
}

// remove removes a file in dir if it is still the known file.
func (c *socketFile) remove(name string, known fs.FileInfo) error {
	info, err := c.dir.Lstat(name)
	if err == nil && os.SameFile(info, known) {
		err = c.dir.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// errInUse is the error for a path that another daemon uses.
var errInUse = fmt.Errorf("%w: another daemon owns this socket; stop it, or choose another path", syscall.EADDRINUSE)

// wrongFileError is the error for a path that has a file of the wrong type. It names that type.
func wrongFileError(path string, info fs.FileInfo) error {
	kind := "a special file"
	switch info.Mode().Type() {
	case 0:
		kind = "a regular file"
	case fs.ModeDir:
		kind = "a directory"
	case fs.ModeSymlink:
		kind = "a symbolic link"
	case fs.ModeSocket:
		kind = "a socket"
	}
	return &fs.PathError{Op: "replace", Path: path, Err: fmt.Errorf("it is %s; move it away, or choose another path", kind)}
}
