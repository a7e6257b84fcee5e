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

// A stream is the two FIFOs of one conn, as one of its ends has them: a transport.ByteStream.
type stream struct {
	in, out *os.File
	peer    User
}

var (
	_ transport.ByteStream = (*stream)(nil)
	_ syscall.Conn         = (*stream)(nil)
)

// conn makes a conn of s.
func (s *stream) conn(at net.Addr, cfg transport.StreamConfig) *transport.Stream {
	cfg.Peer = transport.Peer{
		Transport: kind,
		Session:   transport.NewSession(kind),
		Addr:      at,
		Creds:     []transport.Credential{s.peer},
	}
	cfg.Gone = s.unheard
	return transport.NewStream(s, cfg)
}

func (s *stream) Read(p []byte) (int, error)          { return s.in.Read(p) }
func (s *stream) Write(p []byte) (int, error)         { return s.out.Write(p) }
func (s *stream) SetReadDeadline(at time.Time) error  { return s.in.SetReadDeadline(at) }
func (s *stream) SetWriteDeadline(at time.Time) error { return s.out.SetWriteDeadline(at) }

// SyscallConn is the half that is read, so that an idle conn holds no buffer.
func (s *stream) SyscallConn() (syscall.RawConn, error) { return s.in.SyscallConn() }

// Close stops hearing before it says its last word, so that whoever reads that finds us gone.
func (s *stream) Close() error { return errors.Join(s.in.Close(), s.out.Close()) }

// unheard reports whether nobody has the FIFO open that we write to.
func (s *stream) unheard() bool {
	fds := []unix.PollFd{{Events: unix.POLLOUT}}
	if raw, err := s.out.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			fds[0].Fd = int32(fd)
			_, _ = unix.Poll(fds, 0) // interrupted, it has found nothing
		})
	}
	return fds[0].Revents&unix.POLLERR != 0
}
