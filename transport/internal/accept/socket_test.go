package accept

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sockets returns both ends of a TCP connection, the first as a socket.
func sockets(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	ours = newSocket(c)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// What is larger than the kernel takes goes both ways at once, and arrives.
func TestSocketBothWays(t *testing.T) {
	ours, theirs := sockets(t)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var all sync.WaitGroup
	for _, c := range []net.Conn{ours, theirs} {
		all.Go(func() {
			n, err := c.Write(text)
			if n != len(text) || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
		})
		all.Go(func() {
			got := make([]byte, len(text))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, text) {
				t.Errorf("read something else: %v", err)
			}
		})
	}
	all.Wait()
	require.NoError(t, theirs.Close())
	_, err := ours.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// Its errors are those of any net.Conn.
func TestSocketErrors(t *testing.T) {
	ours, theirs := sockets(t)
	read := func() error { _, err := ours.Read(make([]byte, 1)); return err }
	write := func() (err error) {
		for err == nil {
			_, err = ours.Write(make([]byte, 1<<20))
		}
		return err
	}
	require.NoError(t, ours.SetDeadline(time.Now().Add(10*time.Millisecond)))
	for op, err := range map[string]error{"read": read(), "write": write()} {
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok && timeout.Timeout() && timeout.Temporary()) //nolint:staticcheck // crypto/tls asks
		require.ErrorContains(t, err, op+" tcp "+ours.LocalAddr().String()+"->"+ours.RemoteAddr().String()+": i/o timeout")
	}
	require.NoError(t, ours.SetDeadline(time.Time{}))
	require.NoError(t, theirs.(*net.TCPConn).SetLinger(0))
	require.NoError(t, theirs.Close())
	require.ErrorIs(t, write(), syscall.ECONNRESET)
	require.NoError(t, ours.Close())
	require.ErrorIs(t, read(), net.ErrClosed)
	require.ErrorIs(t, write(), net.ErrClosed)
}

// Close ends blocked reads and writes.
func TestSocketCloses(t *testing.T) {
	ours, _ := sockets(t)
	var all sync.WaitGroup
	for _, op := range []func([]byte) (int, error){ours.Read, ours.Write} {
		for range 2 {
			all.Go(func() {
				for {
					if _, err := op(make([]byte, 1<<20)); err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
	}
	// a read or write that begins after Close returns the same error
	require.NoError(t, ours.Close())
	all.Wait()
}

// BenchmarkSocket measures a byte there and back, one conn alone: without the socket, and with it.
func BenchmarkSocket(b *testing.B) {
	for _, name := range []string{"plain", "socket"} {
		b.Run(name, func(b *testing.B) {
			ours, theirs := sockets(b)
			if s, ok := ours.(*socket); ok && name == "plain" {
				ours = s.Conn
			}
			go func() { _, _ = io.Copy(struct{ io.Writer }{ours}, struct{ io.Reader }{ours}) }()
			one := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = theirs.Write(one)
				_, _ = theirs.Read(one)
			}
		})
	}
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

// One that is over, or never began, keeps nothing from being lingered for.
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
