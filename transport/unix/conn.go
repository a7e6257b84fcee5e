//go:build unix && !aix

package unix

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// newConn makes a conn of a connected socket and learns who the peer is. The peer's address is the
// socket that both sides met at: a name that a client has bound its own end to is a mere claim. group is
// that of the socket file.
func newConn(sock *net.UnixConn, addr net.Addr, cfg transport.StreamConfig, group uint32) (*transport.Stream, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	creds, err := peerCreds(raw, group)
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	cfg.Peer = transport.Peer{
		Transport: "unix",
		Session:   transport.NewSession("unix"),
		Addr:      addr,
		Creds:     creds,
	}
	cfg.Gone = func() bool { return hungUp(raw) }
	return transport.NewStream(socket{sock}, cfg), nil
}

// hungUp reports whether the peer has closed its socket and not only said its last word: poll(2)
// then says POLLHUP. It is asked about writing, since on macOS it says POLLHUP to a reader for a
// half-close too.
func hungUp(raw syscall.RawConn) bool {
	fds := []unix.PollFd{{Events: unix.POLLOUT}}
	_ = raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		for {
			if _, err := unix.Poll(fds, 0); err != unix.EINTR {
				return
			}
		}
	})
	return fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// A socket is closed so that what was sent is not lost.
type socket struct{ *net.UnixConn }

// Close closes the socket after it has taken what the peer sent and nobody will read, without
// waiting: else the peer would see an error instead of the end. One that is still writing learns it
// from its own write.
func (s socket) Close() error {
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.Shutdown(int(fd), syscall.SHUT_RD)
			var waste [1 << 10]byte // small, for the stack's sake: mostly there is nothing
			for range 1024 {
				n, err := syscall.Read(int(fd), waste[:])
				if n <= 0 && err != syscall.EINTR {
					return
				}
			}
		})
	}
	return s.UnixConn.Close()
}
