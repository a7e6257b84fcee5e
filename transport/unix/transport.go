//go:build unix && !aix

package unix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
	"github.com/rudderpost/rudderpost/transport"
)

// Transport is a UNIX socket.
type Transport struct {
	// Path is where the socket is in the file system. A relative one starts at the working
	// directory. Listen refuses a folder that another user could change: the folder, those above it up to / and
	// symbolic links on the way must belong to root, to this process's user or to one of TrustOwners, and no other
	// user may write to them (a folder above the last one with the sticky bit excepted). Dial does not check this.
	Path string

	// TrustOwners are ids of users that may own the folders of Path, beside root and this process's user. It is for
	// containers.
	TrustOwners []uint32

	// Mode is the permissions of the socket file: who can write to it can connect. 0: 0600.
	Mode fs.FileMode

	// Group owns the socket file, by name or by number; Mode says what that is worth. "": the group
	// that the system gives a new file.
	Group string

	// Listener is a listening *net.UnixListener that was opened elsewhere, such as by systemd.
	// Listen then takes it over, and Path, Mode and Group are not looked at; its file stays.
	Listener net.Listener

	// MaxFrame is the longest frame in bytes that is received. 0: transport.DefaultMaxFrame for the
	// conns of a listener, transport.ClientMaxFrame for those that were dialed.
	MaxFrame int

	// Idle is how long a client may be silent before its first frame is whole, and FrameTimeout how
	// long a frame may take; see transport.StreamConfig. Idle is not for conns that were dialed: a
	// daemon may take its time.
	Idle, FrameTimeout time.Duration

	// Limits, if it is set, says MaxFrame, Idle and FrameTimeout for each conn of a listener anew, instead
	// of these fields.
	Limits func() transport.FrameLimits
}

var (
	_ transport.Transport = (*Transport)(nil)
	_ transport.Dialer    = (*Transport)(nil)
)

// Listen opens the control socket. The error is syscall.EADDRINUSE when another daemon has it.
func (t *Transport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := t.listen(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "unix", Addr: t.addr(), Err: err}
	}
	return l, nil
}

func (t *Transport) listen(ctx context.Context) (*listener, error) {
	if t.Listener != nil {
		sock, err := passed(t.Listener)
		if err != nil {
			return nil, err
		}
		return newListener(ctx, sock, sock.Addr(), t.limits, nil, groupAt(sock.Addr())), nil
	}
	path, err := cleanPath(t.Path)
	if err != nil {
		return nil, err
	}
	owner, err := t.ownership()
	if err != nil {
		return nil, err
	}
	c, err := claimPath(ctx, path, trustedpath.Rules{TrustOwners: t.TrustOwners})
	if err != nil {
		return nil, err
	}
	sock, err := c.open(ctx, owner)
	if err != nil {
		return nil, errors.Join(err, c.release())
	}
	return newListener(ctx, sock, t.addr(), t.limits, c, groupOf(c.file)), nil
}

// Dial connects to the daemon that listens at Path.
func (t *Transport) Dial(ctx context.Context) (transport.Conn, error) {
	path, err := cleanPath(t.Path)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: t.addr(), Err: err}
	}
	sock, err := connect(ctx, path)
	if err != nil {
		return nil, advise(err)
	}
	c, err := newConn(sock, t.addr(), transport.StreamConfig{
		MaxFrame:     cmp.Or(t.MaxFrame, transport.ClientMaxFrame),
		Idle:         -1,
		FrameTimeout: t.FrameTimeout,
	}, none)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: t.addr(), Err: err}
	}
	return c, nil
}

func (t *Transport) addr() net.Addr { return &net.UnixAddr{Name: t.Path, Net: "unix"} }

// cleanPath returns path as the file system's shortest name for it, or says why it cannot be a
// socket's.
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
	case len(path) > maxPath && !longPaths:
		return "", tooLong(path)
	case filepath.Base(path) == "/", filepath.Base(path) == ".", filepath.Base(path) == "..":
		return "", errors.New("the path names a directory; name a file in it")
	}
	return path, nil
}

// advise adds to a failure to connect what can be done about it.
func advise(err error) error {
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
	return transport.FrameLimitsOf(t.Limits, transport.FrameLimits{MaxFrame: t.MaxFrame, Idle: t.Idle, FrameTimeout: t.FrameTimeout})
}
