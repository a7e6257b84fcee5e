//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/transport"
	"golang.org/x/sys/unix"
)

// A listener accepts the clients of one socket.
type listener struct {
	sock   *net.UnixListener
	addr   net.Addr
	limits func() transport.FrameLimits
	file   *socketFile // nil: the socket was passed, and its file stays
	group  uint32      // of the socket file
	memory transport.Memory

	accepting chan struct{} // a semaphore; it has a value while no Accept runs, because the socket has one deadline
	closed    chan struct{}
	close     func() error
}

func newListener(ctx context.Context, sock *net.UnixListener, addr net.Addr, limits func() transport.FrameLimits, file *socketFile, group uint32) *listener {
	l := &listener{
		sock: sock, addr: addr, limits: limits, file: file, group: group, memory: transport.MemoryOf(ctx),
		accepting: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	l.accepting <- struct{}{}
	l.close = sync.OnceValue(l.closeAll)
	return l
}

// Accept implements transport.Listener. It skips a client that has closed its socket before its credentials could be
// read.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	if _, err := ctxio.Accept(ctx, l.closed, l.accepting, nil); err != nil {
		return nil, err
	}
	defer func() { l.accepting <- struct{}{} }()
	for {
		sock, err := l.accept(ctx)
		if err != nil {
			return nil, err
		}
		config := l.config()
		config.Reserve = descriptors.InReserve(sock)
		if c, err := newConn(sock, l.addr, config, l.group); err == nil {
			return c, nil
		}
	}
}

// accept waits for one client.
func (l *listener) accept(ctx context.Context) (sock *net.UnixConn, err error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	default:
	}
	stop := ctxio.SetDeadlineOnDone(ctx, l.sock.SetDeadline)
	sock, err = l.sock.AcceptUnix()
	stop()
	switch {
	case err == nil:
		return sock, nil
	case errors.Is(err, net.ErrClosed):
		return nil, net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// Close implements transport.Listener. When it returns, another daemon can use the path.
func (l *listener) Close() error { return l.close() }

// closeAll removes the socket file before it closes the socket: no new file can have the inode of an open socket, so
// the file is surely the one that listen has made.
func (l *listener) closeAll() error {
	close(l.closed)
	if l.file == nil {
		return l.sock.Close()
	}
	err := errors.Join(l.file.removeSocket(), l.sock.Close(), l.file.unlock())
	if err != nil {
		return &net.OpError{Op: "close", Net: "unix", Addr: l.addr, Err: err}
	}
	return nil
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// config returns the configuration of a new conn.
func (l *listener) config() transport.StreamConfig {
	limits := l.limits()
	return transport.StreamConfig{MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: limits.FrameTimeout, Memory: l.memory}
}

// listenOn makes a bound socket listen.
func listenOn(f *os.File) (*net.UnixListener, error) {
	if err := unix.Listen(int(f.Fd()), backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return checkPassed(l)
}

// checkPassed returns l, if it is a listening UNIX socket with a file, and prepares it: its file stays when it is
// closed, and it has no deadline.
func checkPassed(l net.Listener) (*net.UnixListener, error) {
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
