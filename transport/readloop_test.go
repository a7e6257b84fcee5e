//go:build unix

package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// A loopRun is a read loop on a goroutine of its own.
type loopRun struct {
	t      *testing.T
	s      *Stream
	frames chan string
	err    chan error
	result chan netfd.Result
}

// startLoop runs the read loop of s until f returns false.
func startLoop(t *testing.T, s *Stream, ctx context.Context, f func(frame string) bool) *loopRun {
	h := &loopRun{t, s, make(chan string, 100), make(chan error, 1), make(chan netfd.Result, 1)}
	go func() {
		h.result <- s.Fast().ReadLoop(ctx, func(frame []byte, err error) bool {
			if err != nil {
				h.err <- err
				return false
			}
			h.frames <- string(frame)
			return f == nil || f(string(frame))
		})
	}()
	return h
}

// startLoops runs the read loop of s, and again each time when it returns Idle.
func startLoops(t *testing.T, s *Stream, ctx context.Context) *loopRun {
	h := &loopRun{t, s, make(chan string, 100), make(chan error, 1), make(chan netfd.Result, 1)}
	go func() {
		for s.Fast().ReadLoop(ctx, func(frame []byte, err error) bool {
			if err != nil {
				h.err <- err
				return false
			}
			h.frames <- string(frame)
			return true
		}) == netfd.Idle {
		}
		h.result <- netfd.Stopped
	}()
	return h
}

func (h *loopRun) want(frames ...string) {
	h.t.Helper()
	for _, frame := range frames {
		select {
		case got := <-h.frames:
			require.Equal(h.t, frame, got)
		case <-time.After(10 * time.Second):
			h.t.Fatalf("the loop does not pass %s", frame)
		}
	}
}

func (h *loopRun) wantEnd(err error) {
	h.t.Helper()
	select {
	case got := <-h.err:
		require.ErrorIs(h.t, got, err)
		require.Equal(h.t, netfd.Stopped, <-h.result)
	case <-time.After(10 * time.Second):
		h.t.Fatal("the loop does not end")
	}
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

// streams are a stream with a descriptor, and one without.
func streams(t *testing.T) map[string]func() (peer net.Conn, s *Stream) {
	made := func(a, b net.Conn) (net.Conn, *Stream) {
		s := NewStream(b, StreamConfig{})
		t.Cleanup(func() { _, _ = a.Close(), s.Close() })
		return a, s
	}
	return map[string]func() (net.Conn, *Stream){
		"descriptor": func() (net.Conn, *Stream) {
			peer, b, _ := patient(t) // so that the loop does not return Idle on a busy machine
			return made(peer, b)
		},
		"pipe": func() (net.Conn, *Stream) { return made(net.Pipe()) },
	}
}

func TestLoopPassesEachFrameUntilStopped(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			h := startLoop(t, s, t.Context(), func(frame string) bool { return frame != "[3]" })
			say(t, peer, `[0]`)
			h.want("[0]")
			say(t, peer, "[1]\n[2]\n[3]\n[4]\n")
			h.want("[1]", "[2]", "[3]")
			require.Equal(t, netfd.Stopped, <-h.result, "the callback returned false")
			require.Empty(t, h.frames)
			h = startLoop(t, s, t.Context(), nil)
			h.want("[4]")
			require.NoError(t, peer.Close())
			h.wantEnd(io.EOF)
		})
	}
}

// Frames that were read are passed on after the context has ended, as Receive returns them.
func TestLoopPassesBufferedFramesAfterItsContextEnded(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			go func() { _, _ = io.WriteString(peer, "[0][1][2]") }()
			_, err := s.Receive(t.Context(), nil)
			require.NoError(t, err)
			ctx, cancel := context.WithCancelCause(t.Context())
			over := errors.New("over")
			cancel(over)
			h := startLoop(t, s, ctx, nil)
			h.want("[1]", "[2]")
			h.wantEnd(over)
			go func() { _, _ = io.WriteString(peer, "[3]") }()
			startLoop(t, s, t.Context(), nil).want("[3]")
		})
	}
}

func TestLoopEndsWithItsContext(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			ctx, cancel := context.WithCancelCause(t.Context())
			h := startLoop(t, s, ctx, nil)
			for i := range 4 { // the deadline idleAfter is set meanwhile
				say(t, peer, fmt.Sprintf("[%d]", i))
				h.want(fmt.Sprintf("[%d]", i))
			}
			over := errors.New("over")
			cancel(over)
			h.wantEnd(over)
		})
	}
}

// The loop checks its context between two reads. The descriptor is never empty: the callback writes what the loop has read.
func TestLoopEndsWithItsContextWhileThePeerNeverPauses(t *testing.T) {
	const chunk = 4 << 10 // frames
	peer, s := streams(t)["descriptor"]()
	more := func() {
		_, err := io.WriteString(peer, strings.Repeat("[]", chunk))
		require.NoError(t, err)
	}
	for range 12 { // 96 KiB: more than one read takes, less than the buffer of the socket
		more()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	n := 0
	s.Fast().ReadLoop(ctx, func(frame []byte, err error) bool {
		if n++; n%chunk == 0 {
			more()
		}
		switch {
		case n == 10*chunk:
			cancel(over)
		case err != nil:
			require.ErrorIs(t, err, over)
		case n > 100*chunk:
			t.Error("the loop goes on")
			return false
		}
		return true
	})
}

// The callback itself receives the frames that came with the first one.
func TestReceiveInTheCallbackReturnsBufferedFrames(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			var rest []string
			h := startLoop(t, s, t.Context(), func(string) bool {
				for {
					frame, err := s.Receive(ended, nil)
					if err != nil {
						return len(rest) < 2
					}
					rest = append(rest, string(frame))
				}
			})
			say(t, peer, "[0][1][2]")
			require.Equal(t, netfd.Stopped, <-h.result)
			h.want("[0]")
			require.Equal(t, []string{"[1]", "[2]"}, rest)
		})
	}
}

// After a read that emptied the descriptor the loop skips the next read. It notices a hang-up that came at the same time.
func TestHangUpBehindARequestEndsTheLoop(t *testing.T) {
	for range 20 {
		peer, s := sockets(t)
		h := startLoops(t, NewStream(s, StreamConfig{}), t.Context())
		for i := range 3 {
			say(t, peer, fmt.Sprintf("[%d]", i))
			h.want(fmt.Sprintf("[%d]", i))
		}
		say(t, peer, "[3]")
		require.NoError(t, peer.Close())
		h.want("[3]")
		h.wantEnd(io.EOF)
	}
}

// The loop returns Idle once when the peer has sent something and is silent.
func TestLoopReturnsIdleOnceForASilentPeer(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer func() { _ = s.Close() }()
	for range 2 {
		began := time.Now()
		h := startLoop(t, s, t.Context(), nil)
		time.Sleep(2 * idleAfter)
		require.Empty(t, h.result, "the peer has sent nothing")
		say(t, peer, "[0][1]")
		h.want("[0]", "[1]")
		require.Equal(t, netfd.Idle, <-h.result)
		require.GreaterOrEqual(t, time.Since(began), 3*idleAfter)
	}
	h := startLoops(t, s, t.Context())
	say(t, peer, "[2]")
	h.want("[2]")
	require.NoError(t, peer.Close())
	h.wantEnd(io.EOF)
}

// Idle and FrameTimeout hold in the read loop as in Receive.
func TestLoopKeepsTheTimeLimits(t *testing.T) {
	for _, said := range []string{"", "[0]", "[0][1", "["} {
		peer, b := sockets(t)
		s := NewStream(b, StreamConfig{Idle: 3 * idleAfter, FrameTimeout: 2 * idleAfter})
		t.Cleanup(func() { _ = s.Close() })
		h := startLoop(t, s, t.Context(), nil)
		say(t, peer, said)
		if said == "[0]" {
			require.Equal(t, netfd.Idle, <-h.result)
			continue
		}
		var bad *FrameError
		require.ErrorAs(t, <-h.err, &bad, said)
		require.Equal(t, TimedOut, bad.Reason, said)
	}
}

// Close does not wait for the callback, which may call it.
func TestCloseDuringTheCallbackDoesNotBlock(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			closed := make(chan struct{})
			h := startLoop(t, s, t.Context(), func(string) bool {
				<-closed
				return true
			})
			say(t, peer, "[0]")
			h.want("[0]")
			require.NoError(t, s.Close())
			require.ErrorIs(t, context.Cause(s.Context()), net.ErrClosed)
			close(closed)
			h.wantEnd(net.ErrClosed)

			peer, s = stream()
			h = startLoop(t, s, t.Context(), func(string) bool { return s.Close() == nil })
			say(t, peer, "[0]")
			h.wantEnd(net.ErrClosed)
			_, err := peer.Read(make([]byte, 1))
			require.Error(t, err, "its descriptor is closed too")
		})
	}
}

// The rest of a try is sent exactly once, with the next Send.
func TestRestOfATryWriteIsSentWithTheNextSend(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	var want bytes.Buffer
	body := []byte(strings.Repeat("0123456789", 30_000))
	h := startLoop(t, s, t.Context(), func(string) bool {
		for i := 0; ; i++ {
			frame := fmt.Appendf(nil, `["a frame",%d]`, i)
			fmt.Fprintf(&want, "%s\n%s\n", frame, frame)
			sent, err := s.Fast().TryWriteFrames(frame, frame)
			require.NoError(t, err)
			if !sent {
				return false
			}
			fmt.Fprintf(&want, "[%s]\n", body)
			sent, err = s.Fast().TryWriteParts([]byte("["), body, "]")
			require.NoError(t, err)
			if !sent {
				return false
			}
		}
	})
	say(t, peer, "[]")
	require.Equal(t, netfd.Stopped, <-h.result)
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- string(all)
	}()
	require.NoError(t, s.Send(t.Context()))
	require.NoError(t, s.Send(t.Context(), []byte("[1]")))
	require.NoError(t, s.Fast().WriteParts(t.Context(), []byte("["), body, "]"))
	require.NoError(t, s.Close())
	require.Equal(t, want.String()+"[1]\n["+string(body)+"]\n", <-got)
}

// Outside of the callback, and on a stream without a descriptor, only Send works.
func TestTryWriteIsRefusedWithoutDescriptorOrCallback(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			_, err := s.Fast().TryWriteFrames([]byte("[1]"))
			require.Equal(t, errors.ErrUnsupported, err)
			if name == "descriptor" {
				return
			}
			h := startLoop(t, s, t.Context(), func(string) bool {
				_, err := s.Fast().TryWriteFrames([]byte("[2]"))
				require.Equal(t, errors.ErrUnsupported, err)
				_, err = s.Fast().TryWriteParts([]byte("["), []byte("3"), "]")
				require.Equal(t, errors.ErrUnsupported, err)
				return false
			})
			say(t, peer, "[]")
			require.Equal(t, netfd.Stopped, <-h.result)
			go func() { _ = s.Send(t.Context(), []byte("[4]")) }()
			answer := make([]byte, 100)
			n, err := peer.Read(answer)
			require.NoError(t, err)
			require.Equal(t, "[4]\n", string(answer[:n]))
		})
	}
}

func TestTryWriteToAClosedPeerEndsTheContext(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	left := make(chan struct{})
	failed := make(chan error, 1)
	h := startLoop(t, s, t.Context(), func(string) bool {
		<-left
		_, err := s.Fast().TryWriteFrames([]byte("[]"))
		failed <- err
		return true
	})
	say(t, peer, "[0]")
	h.want("[0]")
	require.NoError(t, peer.Close())
	close(left)
	require.Error(t, <-failed)
	require.Error(t, s.Context().Err(), "the peer cannot read")
	_, err := s.Fast().TryWriteFrames([]byte("[]"))
	require.Error(t, err)
	require.NoError(t, s.Close())
	_, err = s.Fast().TryWriteFrames([]byte("[]"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestWritePartsWritesOneLine(t *testing.T) {
	b := &script{}
	s := NewStream(b, StreamConfig{})
	require.NoError(t, s.Fast().WriteParts(t.Context(), []byte(`{"a":`), []byte("1"), "}"))
	require.Equal(t, "{\"a\":1}\n", b.sent.String())
}

// BenchmarkConverse measures an echo over a socket with Receive and Send, and with the read loop, which saves a system
// call.
func BenchmarkConverse(b *testing.B) {
	frame := []byte(`{"command":"` + strings.Repeat("x", 46) + `"}`)
	serve := map[string]func(s *Stream){
		"receive": func(s *Stream) {
			for {
				got, err := s.Receive(context.Background(), nil)
				if err != nil || s.Send(context.Background(), got) != nil {
					return
				}
			}
		},
		"loop": func(s *Stream) {
			over := false
			for !over {
				s.Fast().ReadLoop(context.Background(), func(got []byte, err error) bool {
					if over = err != nil; !over {
						_, _ = s.Fast().TryWriteFrames(got)
					}
					return !over
				})
			}
		},
	}
	for _, name := range []string{"receive", "loop"} {
		b.Run(name, func(b *testing.B) {
			peer, c := sockets(b)
			s := NewStream(c, StreamConfig{})
			done := make(chan struct{})
			go func() {
				serve[name](s)
				close(done)
			}()
			answer := make([]byte, 2*len(frame))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = peer.Write(frame)
				_, _ = peer.Read(answer)
			}
			_ = s.Close()
			<-done
		})
	}
}
