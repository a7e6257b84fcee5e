//go:build unix

package transport

import (
	"context"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sockets returns two sockets that are connected with each other.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		conns[i], err = net.FileConn(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		t.Cleanup(func() { _ = conns[i].Close() })
	}
	return conns[0], conns[1]
}

func receive(t *testing.T, s *Stream) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	frame, err := s.Receive(ctx, nil)
	require.NoError(t, err)
	return string(frame)
}

// waitOnce lets s wait for bytes that do not come behind n of a frame, until it has really waited and so
// given back its buffer: a context may end before that.
func waitOnce(t testing.TB, s *Stream, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		_, err := s.Receive(ctx, nil)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if s.in.arraySize < len(smallBuf{}) && len(s.in.data) == n {
			return
		}
		require.True(t, time.Now().Before(deadline), "a conn that waits keeps %d bytes", cap(s.in.data))
	}
}

// half is 18 bytes of a frame.
const half = `{ "command": "vers`

func TestIdleConnHoldsNoBuffer(t *testing.T) {
	a, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	defer func() { _ = s.Close() }()
	waitOnce(t, s, 0)
	require.Nil(t, s.in.small)
	_, err := a.Write([]byte("{}" + half))
	require.NoError(t, err)
	_, err = s.Receive(t.Context(), nil)
	require.NoError(t, err)
	waitOnce(t, s, len(half))
	require.LessOrEqual(t, cap(s.in.data), 32)
	_, err = a.Write([]byte(`ion"}`))
	require.NoError(t, err)
	frame, err := s.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, half+`ion"}`, string(frame))
	require.Zero(t, cap(s.in.data))
	require.Nil(t, s.in.large)
	waitOnce(t, s, 0) // it is idle again
	require.Nil(t, s.in.small)
}

// A long frame needs a large array. What comes behind it must not keep that alive.
func TestLongFrameIsNotKept(t *testing.T) {
	a, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	defer func() { _ = s.Close() }()
	go func() { _, _ = a.Write([]byte(`["` + strings.Repeat("x", 4<<20) + `"]` + half)) }()
	_, err := s.Receive(t.Context(), nil)
	require.NoError(t, err)
	waitOnce(t, s, len(half))
	require.LessOrEqual(t, cap(s.in.data), 32)
}

// The same where waiting and reading are one.
func TestLongFrameIsNotKeptWithoutDescriptor(t *testing.T) {
	tail := []byte(half)
	b := &script{pieces: [][]byte{append([]byte(`["`+strings.Repeat("x", 4<<20)+`"]`), tail...), []byte(`"`)}}
	s := NewStream(b, StreamConfig{})
	_, err := s.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, s.in.read())
	require.LessOrEqual(t, cap(s.in.data), len(largeBuf{}))
}

// heldPerConn is how many bytes of the heap each of count conns holds that has received half a frame.
func heldPerConn(t testing.TB, count int) float64 {
	t.Helper()
	streams := make([]*Stream, count)
	peers := make([]net.Conn, count)
	for i := range streams {
		a, b := sockets(t)
		peers[i], streams[i] = a, NewStream(b, StreamConfig{})
	}
	before := heap()
	for i, s := range streams {
		_, err := peers[i].Write([]byte(half))
		require.NoError(t, err)
		waitOnce(t, s, len(half))
	}
	held := float64(heap()-before) / float64(count)
	for i, s := range streams {
		_ = s.Close()
		_ = peers[i].Close()
	}
	return held
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // the second empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// halfConns is 1000, or what the system has descriptors for.
func halfConns(t testing.TB) int {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	return int(min(1000, limit.Cur/2-32))
}

func TestHalfFramesHoldNoBuffers(t *testing.T) {
	require.Less(t, heldPerConn(t, halfConns(t)), 2048.0)
}

func BenchmarkHalfFrame(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(heldPerConn(b, halfConns(b)), "B/conn")
	}
}
