package accept

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/stretchr/testify/require"
)

// sockets returns both ends of a TCP connection, the first as a netfd socket.
func sockets(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	ours = netfd.NewSocket(c)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// A Conn without TLS is written through its descriptor. Such a write counts like any other: Close gives it up, and the
// socket with it, and does not linger for a peer that does not read.
func TestCloseDuringWriteThroughDescriptorDoesNotLinger(t *testing.T) {
	ours, _ := sockets(t)
	conn := NewConn(ours, "tcp")
	raw, err := PlainConn{conn}.SyscallConn()
	require.NoError(t, err)
	full := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(full) })
		written <- raw.Write(func(fd uintptr) (done bool) {
			for {
				if _, err := syscall.Write(int(fd), make([]byte, 64<<10)); err != nil {
					once()
					return err != syscall.EAGAIN
				}
			}
		})
	}()
	<-full
	require.NoError(t, conn.Close())
	require.Error(t, <-written)
	require.ErrorIs(t, conn.tcp.SetDeadline(time.Time{}), net.ErrClosed, "the socket is closed, not read from")
}

// A write that has returned does not keep Close from lingering.
func TestCloseAfterWriteThroughDescriptorLingers(t *testing.T) {
	ours, theirs := sockets(t)
	conn := NewConn(ours, "tcp")
	raw, err := PlainConn{conn}.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Write(func(fd uintptr) bool {
		_, err := syscall.Write(int(fd), []byte("reply"))
		return err == nil
	}))
	require.NoError(t, conn.Close())
	require.NoError(t, conn.tcp.SetWriteDeadline(time.Time{}), "it lingers")
	text, err := io.ReadAll(theirs)
	require.NoError(t, err)
	require.Equal(t, "reply", string(text))
}
