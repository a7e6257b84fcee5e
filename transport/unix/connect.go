//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
)

// maxPath is the longest path that a socket address has room for: 107 bytes on Linux.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// connect connects to the socket at path, however long that is where the system permits.
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
			op.Addr = addr // what was asked for, not our short name for it
		}
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// connect connects to whatever listens at the claimed path.
func (c *claim) connect(ctx context.Context) (conn *net.UnixConn, err error) {
	err = c.within(c.name, func(path string) error {
		conn, err = connect(ctx, path)
		return err
	})
	return conn, err
}

// within calls do with a path that leads through the opened directory to a file in it. Where there
// is no such path it is the ordinary one.
func (c *claim) within(name string, do func(path string) error) error {
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

// tooLong says that a path does not fit into a socket address.
func tooLong(path string) error {
	return fmt.Errorf("the path %s is %d bytes long, and sockets have room for %d here; choose a shorter one: %w",
		path, len(path), maxPath, syscall.ENAMETOOLONG)
}
