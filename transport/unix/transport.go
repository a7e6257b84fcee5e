//go:build unix && !aix

package unix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/limits"
)

// Transport listens on, and dials, a UNIX socket (unix(7), SOCK_STREAM). Its methods may be called from any
// goroutine. The fields must not change after the first call.
type Transport struct {
	// Path is the path of the socket file. A relative path starts at the working directory. Listen refuses a folder
	// that another user could change: the folder, the folders above it up to / and symbolic links on the way must
	// belong to root, to the user of this process or to one of TrustOwners, and no other user may write to them (a
	// folder above the last one with the sticky bit excepted). Dial does not check this.
	Path string

	// TrustOwners are ids of users that may own the folders of Path, in addition to root and the user of this
	// process. It is for containers.
	TrustOwners []uint32

	// Mode has the permissions of the socket file. A user with write permission can connect. 0: 0600. Bits other than
	// permissions are an error of Listen.
	Mode fs.FileMode

	// Group is the group of the socket file, as a name or a number. With Mode 0660 its members can connect. Empty:
	// the group that the system gives to a new file.
	Group string

	// Listener is a *net.UnixListener that another program has opened, such as systemd. Listen uses it and ignores
	// Path, Mode and Group. Closing the transport.Listener closes it, and leaves its file.
	Listener net.Listener

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for accepted conns,
	// transport.ClientMaxFrame for dialed conns.
	MaxFrame int

	// Idle is how long a client may send nothing before its first frame is complete. FrameTimeout is how long one
	// frame may take. For both see transport.StreamConfig. Idle is not used for dialed conns, because a daemon may
	// take longer.
	Idle, FrameTimeout time.Duration

	// Limits returns MaxFrame, Idle and FrameTimeout; it is called once for each accepted conn, and must not block.
	// nil: the fields of this struct are used.
	Limits func() transport.FrameLimits
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// Listen opens the socket, and locks its path until the listener is closed. The error is a *net.OpError. It is
// syscall.EADDRINUSE when another daemon has the path. Listen blocks only for the check whether another process
// listens; it returns the cause of ctx when ctx has ended.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: t.addr(), Err: err}
	}
	return l, nil
}

func (t *Transport) listen(ctx context.Context) (*listener, error) {
	if t.Listener != nil {
		sock, err := checkPassed(t.Listener)
		if err != nil {
			return nil, err
		}
		return newListener(ctx, sock, sock.Addr(), t.limits, nil, groupOfSocketAt(sock.Addr())), nil
	}
	path, err := cleanPath(t.Path)
	if err != nil {
		return nil, err
	}
	owner, err := t.ownership()
	if err != nil {
		return nil, err
	}
	c, err := lockSocketPath(ctx, path, trustedpath.Rules{TrustOwners: t.TrustOwners})
	if err != nil {
		return nil, err
	}
	sock, err := c.listen(ctx, owner)
	if err != nil {
		return nil, errors.Join(err, c.unlock())
	}
	return newListener(ctx, sock, t.addr(), t.limits, c, groupOfFile(c.file)), nil
}

// Dial connects to the daemon that listens at Path. The error is a *net.OpError, or wraps one and says what to do.
// Dial returns the cause of ctx when ctx has ended.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	path, err := cleanPath(t.Path)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: t.addr(), Err: err}
	}
	sock, err := connect(ctx, path)
	if err != nil {
		return nil, withAdvice(err)
	}
	c, err := newConn(sock, t.addr(), transport.StreamConfig{
		MaxFrame:     cmp.Or(t.MaxFrame, transport.ClientMaxFrame),
		Idle:         -1,
		FrameTimeout: t.FrameTimeout,
	}, noID)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: t.addr(), Err: err}
	}
	return c, nil
}

func (t *Transport) addr() net.Addr { return &net.UnixAddr{Name: t.Path, Net: "unix"} }

// cleanPath returns the shortest form of a path, or an error for a path that no socket can have.
func cleanPath(path string) (string, error) {
	if path == "" {
		return "", errors.New("the path is empty; name the socket file")
	}
	path = filepath.Clean(path)
	switch {
	case path[0] == '@':
		return "", errors.New("abstract sockets have no permissions and are not supported; name a file")
	case strings.ContainsRune(path, 0):
		return "", errors.New("the path contains a NUL byte")
	case len(path) > maxPath && !longPathsWork:
		return "", tooLong(path)
	case filepath.Base(path) == "/", filepath.Base(path) == ".", filepath.Base(path) == "..":
		return "", errors.New("the path names a directory; name a file in it")
	}
	return path, nil
}

// withAdvice adds to an error of connect what the user can do about it.
func withAdvice(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; is the daemon running, and is this its socket?", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w; the daemon has ended without closing its socket: start it again", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the socket's mode, or a directory's above it, keeps this user out", err)
	}
	return err
}

func (t *Transport) limits() transport.FrameLimits {
	return limits.Frame(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}

// maxPath is the longest path in bytes that fits into a socket address: 107 on Linux.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// connect connects to the socket at path. On Linux the path may be longer than maxPath.
func connect(ctx context.Context, path string) (*net.UnixConn, error) {
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	if ctx.Err() != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: addr, Err: context.Cause(ctx)}
	}
	short := path
	if len(path) > maxPath {
		f, err := openSocket(path)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "unix", Addr: addr, Err: err}
		}
		defer func() { _ = f.Close() }()
		var ok bool
		if short, ok = descriptorPath(f); !ok {
			return nil, &net.OpError{Op: "dial", Net: "unix", Addr: addr, Err: tooLong(path)}
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			op.Addr = addr // not the short path
		}
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// tooLong is the error for a path that does not fit into a socket address.
func tooLong(path string) error {
	return fmt.Errorf("the path %s is %d bytes long, and sockets have room for %d here; choose a shorter one: %w",
		path, len(path), maxPath, syscall.ENAMETOOLONG)
}

// An ownership is the group and the mode of a socket file.
type ownership struct {
	mode fs.FileMode
	gid  int // -1: the group is not changed
}

// ownership returns the group and the mode that Group and Mode say.
func (t *Transport) ownership() (ownership, error) {
	o := ownership{mode: t.Mode, gid: -1}
	if o.mode == 0 {
		o.mode = 0o600
	}
	if o.mode&^fs.ModePerm != 0 {
		return o, fmt.Errorf("the mode %v is more than permissions; use one like 0600 or 0660", o.mode)
	}
	if t.Group == "" {
		return o, nil
	}
	if gid, err := strconv.ParseUint(t.Group, 10, 31); err == nil {
		o.gid = int(gid)
		return o, nil
	}
	g, err := user.LookupGroup(t.Group)
	if err != nil {
		return o, fmt.Errorf("find the socket's group %q: %w", t.Group, err)
	}
	o.gid, err = strconv.Atoi(g.Gid)
	return o, err
}
