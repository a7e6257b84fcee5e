package netfd

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

// tcpSockets returns both ends of a TCP connection, the first as a socket.
func tcpSockets(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	c, err := l.Accept()
	require.NoError(t, err)
	ours = NewSocket(c)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// Writes of more bytes than the socket buffer takes, in both directions at once, arrive.
func TestSocketBothWays(t *testing.T) {
	ours, theirs := tcpSockets(t)
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

// The errors of a socket are those of any net.Conn.
func TestSocketErrors(t *testing.T) {
	ours, theirs := tcpSockets(t)
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
	ours, _ := tcpSockets(t)
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
			ours, theirs := tcpSockets(b)
			if s, ok := ours.(*Socket); ok && name == "plain" {
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
