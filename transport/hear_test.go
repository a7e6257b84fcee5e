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
)

// A hearer hears a stream on a goroutine of its own.
type hearer struct {
	t      *testing.T
	s      *Stream
	frames chan string
	err    chan error
	quiet  chan bool
}

// hear has a stream heard, until f returns false.
func hear(t *testing.T, s *Stream, ctx context.Context, f func(frame string) bool) *hearer {
	h := &hearer{t, s, make(chan string, 100), make(chan error, 1), make(chan bool, 1)}
	go func() {
		h.quiet <- s.Hear(ctx, func(frame []byte, err error) bool {
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

// hearOn has a stream heard as hear does, and again after each silence of its peer.
func hearOn(t *testing.T, s *Stream, ctx context.Context) *hearer {
	h := &hearer{t, s, make(chan string, 100), make(chan error, 1), make(chan bool, 1)}
	go func() {
		for s.Hear(ctx, func(frame []byte, err error) bool {
			if err != nil {
				h.err <- err
				return false
			}
			h.frames <- string(frame)
			return true
		}) {
		}
		h.quiet <- false
	}()
	return h
}

func (h *hearer) want(frames ...string) {
	h.t.Helper()
	for _, frame := range frames {
		select {
		case got := <-h.frames:
			require.Equal(h.t, frame, got)
		case <-time.After(10 * time.Second):
			h.t.Fatalf("%s is not heard", frame)
		}
	}
}

func (h *hearer) wantEnd(err error) {
	h.t.Helper()
	select {
	case got := <-h.err:
		require.ErrorIs(h.t, got, err)
		require.False(h.t, <-h.quiet)
	case <-time.After(10 * time.Second):
		h.t.Fatal("nothing ends")
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
			peer, b, _ := patient(t) // so that Hear does not return for a silence on a machine that is busy
			return made(peer, b)
		},
		"pipe": func() (net.Conn, *Stream) { return made(net.Pipe()) },
	}
}

func TestHear(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			h := hear(t, s, t.Context(), func(frame string) bool { return frame != "[3]" })
			say(t, peer, `[0]`)
			h.want("[0]")
			say(t, peer, "[1]\n[2]\n[3]\n[4]\n")
			h.want("[1]", "[2]", "[3]")
			require.False(t, <-h.quiet, "it was told to return")
			require.Empty(t, h.frames)
			h = hear(t, s, t.Context(), nil)
			h.want("[4]")
			require.NoError(t, peer.Close())
			h.wantEnd(io.EOF)
		})
	}
}

// Frames that have come are heard though the context has ended, as they are received.
func TestHearWhatHasComeBeforeTheContextEnded(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			go func() { _, _ = io.WriteString(peer, "[0][1][2]") }()
			_, err := s.Receive(t.Context(), nil)
			require.NoError(t, err)
			ctx, cancel := context.WithCancelCause(t.Context())
			over := errors.New("over")
			cancel(over)
			h := hear(t, s, ctx, nil)
			h.want("[1]", "[2]")
			h.wantEnd(over)
			go func() { _, _ = io.WriteString(peer, "[3]") }()
			hear(t, s, t.Context(), nil).want("[3]")
		})
	}
}

func TestHearEndsWithItsContext(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			ctx, cancel := context.WithCancelCause(t.Context())
			h := hear(t, s, ctx, nil)
			for i := range 4 { // the moment of quiet is set meanwhile
				say(t, peer, fmt.Sprintf("[%d]", i))
				h.want(fmt.Sprintf("[%d]", i))
			}
			over := errors.New("over")
			cancel(over)
			h.wantEnd(over)
		})
	}
}

// Who never stops talking is heard no longer than the others.
func TestHearEndsWhileItsPeerTalks(t *testing.T) {
	peer, s := streams(t)["descriptor"]()
	go func() {
		for {
			if _, err := io.WriteString(peer, strings.Repeat("[]", 8<<10)); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	n := 0
	s.Hear(ctx, func(frame []byte, err error) bool {
		switch n++; {
		case n == 100_000:
			cancel(over)
		case err != nil:
			require.ErrorIs(t, err, over)
		case n > 200_000:
			t.Error("it is still heard")
			return false
		}
		return true
	})
}

// The rest of what came with the first frame heard receives itself.
func TestHearAndReceive(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			var rest []string
			h := hear(t, s, t.Context(), func(string) bool {
				for {
					frame, err := s.Receive(ended, nil)
					if err != nil {
						return len(rest) < 2
					}
					rest = append(rest, string(frame))
				}
			})
			say(t, peer, "[0][1][2]")
			require.False(t, <-h.quiet)
			h.want("[0]")
			require.Equal(t, []string{"[1]", "[2]"}, rest)
		})
	}
}

// Where the last read took all that there was nobody looks again. Who hung up at the same time is noticed all the same.
func TestHearWhoHangsUpBehindARequest(t *testing.T) {
	for range 20 {
		peer, s := sockets(t)
		h := hearOn(t, NewStream(s, StreamConfig{}), t.Context())
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

// A conn that has spoken and is silent asks for another goroutine, once.
func TestHearFallsQuiet(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer func() { _ = s.Close() }()
	for range 2 {
		began := time.Now()
		h := hear(t, s, t.Context(), nil)
		time.Sleep(2 * quietAfter)
		require.Empty(t, h.quiet, "nothing was said")
		say(t, peer, "[0][1]")
		h.want("[0]", "[1]")
		require.True(t, <-h.quiet)
		require.GreaterOrEqual(t, time.Since(began), 3*quietAfter)
	}
	h := hearOn(t, s, t.Context())
	say(t, peer, "[2]")
	h.want("[2]")
	require.NoError(t, peer.Close())
	h.wantEnd(io.EOF)
}

// The limits of time hold for who is heard as for who is received.
func TestHearIsLimitedInTime(t *testing.T) {
	for _, said := range []string{"", "[0]", "[0][1", "["} {
		peer, b := sockets(t)
		s := NewStream(b, StreamConfig{Idle: 3 * quietAfter, FrameTimeout: 2 * quietAfter})
		t.Cleanup(func() { _ = s.Close() })
		h := hear(t, s, t.Context(), nil)
		say(t, peer, said)
		if said == "[0]" {
			require.True(t, <-h.quiet)
			continue
		}
		var bad *FrameError
		require.ErrorAs(t, <-h.err, &bad, said)
		require.Equal(t, TimedOut, bad.Reason, said)
	}
}

// Close waits for nobody who hears, whoever calls it.
func TestCloseWhileSomebodyHears(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			closed := make(chan struct{})
			h := hear(t, s, t.Context(), func(string) bool {
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
			h = hear(t, s, t.Context(), func(string) bool { return s.Close() == nil })
			say(t, peer, "[0]")
			h.wantEnd(net.ErrClosed)
			_, err := peer.Read(make([]byte, 1))
			require.Error(t, err, "its descriptor is closed too")
		})
	}
}

// What the peer does not take is sent with the next Send, and nothing of it twice or never.
func TestTrySend(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	var want bytes.Buffer
	body := []byte(strings.Repeat("0123456789", 30_000))
	h := hear(t, s, t.Context(), func(string) bool {
		for i := 0; ; i++ {
			frame := fmt.Appendf(nil, `["a frame",%d]`, i)
			fmt.Fprintf(&want, "%s\n%s\n", frame, frame)
			sent, err := s.TrySend(frame, frame)
			require.NoError(t, err)
			if !sent {
				return false
			}
			fmt.Fprintf(&want, "[%s]\n", body)
			sent, err = s.TrySendParts([]byte("["), body, "]")
			require.NoError(t, err)
			if !sent {
				return false
			}
		}
	})
	say(t, peer, "[]")
	require.False(t, <-h.quiet)
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- string(all)
	}()
	require.NoError(t, s.Send(t.Context()))
	require.NoError(t, s.Send(t.Context(), []byte("[1]")))
	require.NoError(t, s.SendParts(t.Context(), []byte("["), body, "]"))
	require.NoError(t, s.Close())
	require.Equal(t, want.String()+"[1]\n["+string(body)+"]\n", <-got)
}

// Who does not hear, or has no descriptor, can only Send.
func TestTrySendWhereOneCannotTry(t *testing.T) {
	for name, stream := range streams(t) {
		t.Run(name, func(t *testing.T) {
			peer, s := stream()
			_, err := s.TrySend([]byte("[1]"))
			require.Equal(t, errors.ErrUnsupported, err)
			if name == "descriptor" {
				return
			}
			h := hear(t, s, t.Context(), func(string) bool {
				_, err := s.TrySend([]byte("[2]"))
				require.Equal(t, errors.ErrUnsupported, err)
				_, err = s.TrySendParts([]byte("["), []byte("3"), "]")
				require.Equal(t, errors.ErrUnsupported, err)
				return false
			})
			say(t, peer, "[]")
			require.False(t, <-h.quiet)
			go func() { _ = s.Send(t.Context(), []byte("[4]")) }()
			answer := make([]byte, 100)
			n, err := peer.Read(answer)
			require.NoError(t, err)
			require.Equal(t, "[4]\n", string(answer[:n]))
		})
	}
}

func TestTrySendToWhoHasLeft(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	left := make(chan struct{})
	failed := make(chan error, 1)
	h := hear(t, s, t.Context(), func(string) bool {
		<-left
		_, err := s.TrySend([]byte("[]"))
		failed <- err
		return true
	})
	say(t, peer, "[0]")
	h.want("[0]")
	require.NoError(t, peer.Close())
	close(left)
	require.Error(t, <-failed)
	require.Error(t, s.Context().Err(), "the peer cannot hear us")
	_, err := s.TrySend([]byte("[]"))
	require.Error(t, err)
	require.NoError(t, s.Close())
	_, err = s.TrySend([]byte("[]"))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A long body is sent from where it lies also by a conn that knows no parts.
func TestSendPartsOnAnyConn(t *testing.T) {
	b := &script{}
	s := NewStream(b, StreamConfig{})
	require.NoError(t, SendParts(t.Context(), s, []byte(`{"a":`), []byte("1"), "}"))
	require.NoError(t, SendParts(t.Context(), struct{ Conn }{s}, []byte(`{"a":`), []byte("2"), "}"))
	require.Equal(t, "{\"a\":1}\n{\"a\":2}\n", b.sent.String())
}

// BenchmarkConverse is an echo over a socket that receives and sends, and one that hears: how much a system call less
// is worth.
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
		"hear": func(s *Stream) {
			over := false
			for !over {
				s.Hear(context.Background(), func(got []byte, err error) bool {
					if over = err != nil; !over {
						_, _ = s.TrySend(got)
					}
					return !over
				})
			}
		},
	}
	for _, name := range []string{"receive", "hear"} {
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
