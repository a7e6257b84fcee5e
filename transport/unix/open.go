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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is how many clients may wait to be accepted. The kernel lowers it to what it allows.
const backlog = 4096

// open puts a listening socket at the claimed path. It comes to be under another name and is renamed
// when it is complete: nobody sees it at the path with a wrong owner or mode, and nobody can connect
// before it has the right ones, since it does not listen until then.
func (c *claim) open(ctx context.Context, o ownership) (sock *net.UnixListener, err error) {
	if err := c.vacate(ctx); err != nil {
		return nil, err
	}
	temp := tempName(c.name)
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
	if err := c.protect(temp, o); err != nil {
		return nil, err
	}
	if info, err = c.again(temp, info); err != nil {
		return nil, err
	}
	if sock, err = listen(f); err != nil {
		return nil, err
	}
	if err := c.dir.Rename(temp, c.name); err != nil {
		_ = sock.Close()
		return nil, err
	}
	c.file = info
	return sock, nil
}

// tempName is the name under which the socket of another name comes to be: short, whatever that
// other name is, and always the same, so that a daemon killed at that moment leaves nothing for
// good. Only whoever has the claim uses it.
func tempName(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return fmt.Sprintf(".%s.%08x", name[:min(len(name), 32)], h.Sum32())
}

// bind makes a socket with a name, and returns both.
func (c *claim) bind(name string) (*os.File, fs.FileInfo, error) {
	if info, err := c.dir.Lstat(name); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, nil, inTheWay(filepath.Join(c.dir.Name(), name), info)
		}
		if err := c.dir.Remove(name); err != nil {
			return nil, nil, err
		}
	}
	f, err := newSocket(name)
	if err != nil {
		return nil, nil, err
	}
	err = c.within(name, func(path string) error {
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
		err = inTheWay(filepath.Join(c.dir.Name(), name), info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// newSocket makes a socket that no child process inherits.
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

// protect gives the socket file its owner and mode. The umask has no say.
func (c *claim) protect(name string, o ownership) error {
	if o.gid >= 0 {
		if err := c.dir.Lchown(name, -1, o.gid); err != nil {
			return fmt.Errorf("%w; give the socket to a group that the daemon's user is in", err)
		}
	}
	return c.dir.Chmod(name, o.mode)
}

// again looks at a file once more, which has another owner and mode by now.
func (c *claim) again(name string, before fs.FileInfo) (fs.FileInfo, error) {
	info, err := c.dir.Lstat(name)
	if err != nil {
		return before, err
	}
	if !os.SameFile(info, before) {
		return before, inTheWay(filepath.Join(c.dir.Name(), name), info)
	}
	return info, nil
}

// listen makes a bound socket listen.
func listen(f *os.File) (*net.UnixListener, error) {
	if err := unix.Listen(int(f.Fd()), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return passed(l)
}

// passed returns a listener that was opened elsewhere as the one that we can use.
func passed(l net.Listener) (*net.UnixListener, error) {
	sock, ok := l.(*net.UnixListener)
	if !ok || l.Addr().Network() != "unix" {
		return nil, fmt.Errorf("a %s listener (%T) was passed; pass the *net.UnixListener of a stream socket", l.Addr().Network(), l)
	}
	if strings.HasPrefix(l.Addr().String(), "@") {
		return nil, errors.New("an abstract socket was passed; it has no permissions: pass one that is a file")
	}
	sock.SetUnlinkOnClose(false)
	if err := sock.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return sock, nil
}
