//go:build unix && !aix

package unix

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// newConn makes a conn of a connected socket, and reads the credentials of the peer from the kernel. The address of
// the peer is that of the listening socket: the name to which a client may have bound its own socket proves nothing.
// group is the group of the socket file.
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
	cfg.PeerClosed = func() bool { return peerClosed(raw) }
	return transport.NewStream(socket{sock}, cfg), nil
}

// peerClosed reports whether the peer has closed its socket, and not only its writing half: poll(2) returns POLLHUP
// then. It polls for POLLOUT, because macOS returns POLLHUP to a reader for a half-close too.
func peerClosed(raw syscall.RawConn) bool {
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

// A socket is the transport.ByteStream of a conn.
type socket struct{ *net.UnixConn }

// Close reads and discards the received bytes without blocking, at most 1 MiB, and closes the socket. With unread
// bytes in the socket the peer would get an error instead of the end of the stream. A peer that is still writing gets
// an error from its own write.
func (s socket) Close() error {
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.Shutdown(int(fd), syscall.SHUT_RD)
			var discarded [1 << 10]byte // small, so that the stack stays small; most sockets have no unread bytes
			for range 1024 {
				n, err := syscall.Read(int(fd), discarded[:])
				if n <= 0 && err != syscall.EINTR {
					return
				}
			}
		})
	}
	return s.UnixConn.Close()
}
