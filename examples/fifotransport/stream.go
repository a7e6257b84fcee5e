//go:build linux

package fifo

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/transport"
)

// A stream has the two FIFOs of one conn, at one end. It is a transport.ByteStream.
type stream struct {
	in, out *os.File
	peer    User
}

var (
	_ transport.ByteStream = (*stream)(nil)
	_ syscall.Conn         = (*stream)(nil)
)

// conn returns a conn over s.
func (s *stream) conn(at net.Addr, cfg transport.StreamConfig) *transport.Stream {
	cfg.Peer = transport.Peer{
		Transport: kind,
		Session:   transport.NewSession(kind),
		Addr:      at,
		Creds:     []transport.Credential{s.peer},
	}
	cfg.PeerClosed = s.peerGone
	return transport.NewStream(s, cfg)
}

func (s *stream) Read(p []byte) (int, error)          { return s.in.Read(p) }
func (s *stream) Write(p []byte) (int, error)         { return s.out.Write(p) }
func (s *stream) SetReadDeadline(at time.Time) error  { return s.in.SetReadDeadline(at) }
func (s *stream) SetWriteDeadline(at time.Time) error { return s.out.SetWriteDeadline(at) }

// SyscallConn returns the FIFO that is read. With it the manager parks an idle conn without a buffer.
func (s *stream) SyscallConn() (syscall.RawConn, error) { return s.in.SyscallConn() }

// Close closes the FIFO that is read first. So a peer that reads the end of the stream finds that this side has gone.
func (s *stream) Close() error { return errors.Join(s.in.Close(), s.out.Close()) }

// peerGone reports whether no process has the FIFO open for reading that this side writes.
func (s *stream) peerGone() bool {
	fds := []unix.PollFd{{Events: unix.POLLOUT}}
	if raw, err := s.out.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			fds[0].Fd = int32(fd)
			_, _ = unix.Poll(fds, 0) // if a signal interrupts it, Revents stays 0
		})
	}
	return fds[0].Revents&unix.POLLERR != 0
}
