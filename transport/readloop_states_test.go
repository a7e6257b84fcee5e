//go:build unix

package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// A hooked is a socket whose read deadlines are set through a function of the test.
type hooked struct {
	net.Conn
	setReadDeadline func(t time.Time) error
}

func (h *hooked) SetReadDeadline(t time.Time) error { return h.setReadDeadline(t) }

func (h *hooked) SyscallConn() (syscall.RawConn, error) { return h.Conn.(syscall.Conn).SyscallConn() }

// overtaken returns a socket and its peer. Before the first read deadline in the future is set, cancel is called; the
// deadline is set when the deadline in the past, with which the end of a context interrupts a read, has been set.
func overtaken(t *testing.T, cancel func()) (peer net.Conn, h *hooked) {
	peer, b := sockets(t)
	h = &hooked{Conn: b}
	var once sync.Once
	past := make(chan struct{}, 1)
	h.setReadDeadline = func(at time.Time) error {
		if at.After(time.Now()) {
			once.Do(func() {
				cancel()
				<-past
			})
			return b.SetReadDeadline(at)
		}
		err := b.SetReadDeadline(at)
		if !at.IsZero() {
			select {
			case past <- struct{}{}:
			default:
			}
		}
		return err
	}
	return peer, h
}

// The context ends while a read deadline is being set, which then replaces the deadline that interrupts the read.
func TestContextThatEndsWhileADeadlineIsSetEndsReading(t *testing.T) {
	over := errors.New("over")
	t.Run("Receive", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, b := overtaken(t, func() { cancel(over) })
		s := NewStream(b, StreamConfig{Idle: time.Hour})
		defer s.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := s.Receive(ctx, nil)
			ended <- err
		}()
		wantError(t, ended, over)
	})
	t.Run("ReadLoop", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		peer, b := overtaken(t, func() { cancel(over) })
		s := NewStream(b, StreamConfig{Idle: -1, FrameTimeout: time.Hour})
		defer s.Close()
		h := startLoop(t, s, ctx, nil)
		say(t, peer, "[0") // the rest has a deadline
		wantError(t, h.err, over)
	})
}

func wantError(t *testing.T, got <-chan error, want error) {
	t.Helper()
	select {
	case err := <-got:
		require.ErrorIs(t, err, want)
	case <-time.After(10 * time.Second):
		t.Fatal("reading does not end")
	}
}

// Most clients send one request and hang up. The read loop reads once more behind the first frame, so it learns of the
// hang-up without waiting.
func TestHangUpBehindTheFirstFrameIsReadWithoutADeadline(t *testing.T) {
	peer, b := sockets(t)
	var deadlines atomic.Int32
	s := NewStream(&hooked{b, func(at time.Time) error {
		deadlines.Add(1)
		return b.SetReadDeadline(at)
	}}, StreamConfig{Idle: -1})
	defer s.Close()
	say(t, peer, "[0]")
	require.NoError(t, peer.Close())
	h := startLoop(t, s, context.Background(), nil)
	h.want("[0]")
	h.wantEnd(io.EOF)
	require.Zero(t, deadlines.Load())
}

// A Close that leaves the descriptor open, as that of a TCP conn does for a while, only interrupts the read.
func TestCloseThatInterruptsAReadIsNotIdle(t *testing.T) {
	peer, h, timed := patient(t)
	s := NewStream(interruptedByClose{h}, StreamConfig{Idle: -1})
	run := startLoop(t, s, context.Background(), nil)
	say(t, peer, "[0]")
	run.want("[0]")
	<-timed
	require.NoError(t, s.Close())
	run.wantEnd(net.ErrClosed)
}

// patient returns a socket, with its peer, whose read deadlines in the future are an hour late. timed receives one value
// when such a deadline has been set.
func patient(t *testing.T) (peer net.Conn, h *hooked, timed chan struct{}) {
	peer, b := sockets(t)
	timed = make(chan struct{}, 100)
	return peer, &hooked{b, func(at time.Time) error {
		future := at.After(time.Now())
		if future {
			at = at.Add(time.Hour)
		}
		err := b.SetReadDeadline(at)
		if future {
			select {
			case timed <- struct{}{}:
			default:
			}
		}
		return err
	}}, timed
}

// The end of the context interrupts the read as the deadline of an idle conn does.
func TestContextThatInterruptsAReadIsNotIdle(t *testing.T) {
	peer, b, timed := patient(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	h := startLoop(t, s, ctx, nil)
	say(t, peer, "[0]")
	h.want("[0]")
	<-timed
	over := errors.New("over")
	cancel(over)
	h.wantEnd(over)
}

type interruptedByClose struct{ *hooked }

func (c interruptedByClose) Close() error { return c.Conn.SetReadDeadline(time.Unix(1, 0)) }

// wantIdle fails the test unless the loop returns Idle.
func (h *loopRun) wantIdle() {
	h.t.Helper()
	select {
	case result := <-h.result:
		require.Equal(h.t, netfd.Idle, result)
	case <-time.After(10 * time.Second):
		h.t.Fatal("the loop does not return")
	}
}

// The loop returns Idle also when the peer has sent only blanks, or a frame that was read before.
func TestLoopReturnsIdleAfterBlanksAndBufferedFrames(t *testing.T) {
	peer, b := sockets(t)
	var late atomic.Bool
	s := NewStream(&hooked{b, func(at time.Time) error {
		if late.Load() && at.After(time.Now()) {
			at = at.Add(time.Hour)
		}
		return b.SetReadDeadline(at)
	}}, StreamConfig{Idle: -1})
	defer s.Close()
	h := startLoop(t, s, t.Context(), nil)
	say(t, peer, "\n")
	h.wantIdle()

	say(t, peer, "[0][1]")
	require.Equal(t, "[0]", receive(t, s))
	h = startLoop(t, s, t.Context(), nil)
	h.want("[1]")
	h.wantIdle()

	late.Store(true)
	h = startLoop(t, s, t.Context(), func(frame string) bool { return frame != "[3]" })
	say(t, peer, "[2]")
	h.want("[2]")
	say(t, peer, "[3]")
	h.want("[3]")
	late.Store(false)
	require.Equal(t, netfd.Stopped, <-h.result, "it was told to return")
	say(t, peer, "[4]")
	frame, err := s.Receive(t.Context(), nil) // removes the deadline of the loop
	require.NoError(t, err)
	require.Equal(t, "[4]", string(frame))
	h = startLoop(t, s, t.Context(), nil)
	say(t, peer, "[5]")
	h.want("[5]")
	h.wantIdle()
}

// The callback may stop the loop after a read that emptied the descriptor. The next loop reads at once: bytes that came in
// between are not announced again.
func TestLoopReadsBytesThatCameBetweenTwoCalls(t *testing.T) {
	peer, b, _ := patient(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	for range 20 {
		h := startLoop(t, s, t.Context(), func(frame string) bool { return frame != "[1]" })
		say(t, peer, "[0]")
		h.want("[0]")
		say(t, peer, "[1]")
		h.want("[1]")
		require.Equal(t, netfd.Stopped, <-h.result)
		say(t, peer, "[2]")
		time.Sleep(2 * time.Millisecond) // so that the runtime learns of it first
		h = startLoop(t, s, t.Context(), func(string) bool { return false })
		h.want("[2]")
		require.Equal(t, netfd.Stopped, <-h.result)
	}
}

// A read that fills its buffer may have left bytes in the descriptor, which the kernel does not announce again.
func TestReadThatFillsItsBufferIsFollowedByAnother(t *testing.T) {
	peer, b, _ := patient(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	h := startLoop(t, s, t.Context(), nil)
	say(t, peer, "[0]")
	h.want("[0]")
	long := "[" + strings.Repeat("1", len(smallBuf{})-2) + "]" // fills the first buffer
	say(t, peer, long+"[2]")
	h.want(long, "[2]")
}

// The error of a read does not end the next loop.
func TestLoopAfterAContextEndedReads(t *testing.T) {
	peer, s := streams(t)["descriptor"]()
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	startLoop(t, s, ctx, nil).wantEnd(over)
	h := startLoops(t, s, t.Context())
	say(t, peer, "[0]")
	h.want("[0]")
	require.NoError(t, peer.Close())
	h.wantEnd(io.EOF)
}

// Only the callback can write without blocking, and not before the rest of an earlier try.
func TestTryWriteIsRefusedOutsideOfTheCallbackAndBehindARest(t *testing.T) {
	peer, b, _ := patient(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	other, c := sockets(t)
	noise := NewStream(c, StreamConfig{})
	defer func() { _, _ = s.Close(), noise.Close() }()
	var want bytes.Buffer
	frame := []byte(`["` + strings.Repeat("x", 2000) + `"]`)
	h := startLoop(t, s, t.Context(), func(string) bool {
		for sent := true; sent; {
			var err error
			sent, err = s.Fast().TryWriteFrames(frame)
			require.NoError(t, err)
			want.Write(frame)
			want.WriteByte('\n')
		}
		_, err := s.Fast().TryWriteFrames([]byte("[1]"))
		require.Equal(t, errors.ErrUnsupported, err)
		_, err = s.Fast().TryWriteParts([]byte("["), []byte("2"), "]")
		require.Equal(t, errors.ErrUnsupported, err)
		for range 20 { // with the buffers that were used
			require.NoError(t, noise.Send(context.Background(), bytes.Repeat([]byte("y"), 2000)))
		}
		return false
	})
	go func() { _, _ = io.Copy(io.Discard, other) }()
	say(t, peer, "[0]")
	require.Equal(t, netfd.Stopped, <-h.result)
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- string(all)
	}()
	require.NoError(t, s.Send(t.Context(), []byte("[3]")))
	require.NoError(t, s.Send(t.Context(), []byte("[4]")))
	_, err := s.Fast().TryWriteFrames([]byte("[5]"))
	require.Equal(t, errors.ErrUnsupported, err, "the loop has returned")
	h = startLoop(t, s, t.Context(), func(string) bool {
		_, err = s.Fast().TryWriteFrames([]byte("[6]")) // there is no rest any more
		return false
	})
	say(t, peer, "[0]")
	require.Equal(t, netfd.Stopped, <-h.result)
	require.NoError(t, err)
	require.NoError(t, s.Send(t.Context()))
	require.NoError(t, s.Close())
	require.Equal(t, want.String()+"[3]\n[4]\n[6]\n", <-got)
}

func TestTryWritePartsToAClosedPeerEndsTheContext(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	defer s.Close()
	left := make(chan struct{})
	failed := make(chan error, 1)
	h := startLoop(t, s, t.Context(), func(string) bool {
		<-left
		_, err := s.Fast().TryWriteParts([]byte("["), []byte("0"), "]")
		failed <- err
		return false
	})
	say(t, peer, "[0]")
	h.want("[0]")
	require.NoError(t, peer.Close())
	close(left)
	require.Error(t, <-failed)
	require.Error(t, s.Context().Err())
}

// A ledger counts what the conns of a test have booked.
type ledger struct {
	mu             sync.Mutex
	booked, most   int
	opened, closed int
	limit          int // 0: none
}

func (l *ledger) OpenAccount(Peer) MemoryAccount {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	return ledgerAccount{l}
}

func (l *ledger) now() (booked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.booked
}

type ledgerAccount struct{ l *ledger }

func (a ledgerAccount) Reserve(n int) error {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	if a.l.limit > 0 && a.l.booked+n > a.l.limit {
		return &FrameError{Reason: OverBudget, Limit: a.l.limit, LimitName: "the limit"}
	}
	a.l.booked += n
	a.l.most = max(a.l.most, a.l.booked)
	return nil
}

func (a ledgerAccount) ReserveWindow(n int) error { return a.Reserve(n) }

func (a ledgerAccount) Release(n int) {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	a.l.booked -= n
}

func (a ledgerAccount) Close() {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	a.l.booked = 0
	a.l.closed++
}

func (l *ledger) wantBooked(t *testing.T, what string, ok func(n int) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(l.now()); {
		require.True(t, time.Now().Before(deadline), "%d bytes are booked; %s", l.now(), what)
		time.Sleep(time.Millisecond)
	}
}

func few(n int) bool  { return 0 < n && n <= 64 }
func none(n int) bool { return n == 0 }

// The part of a frame that has come is booked while the peer is waited for, and no buffer is kept for it.
func TestHalfAFrameIsBookedWhileItsRestIsAwaited(t *testing.T) {
	for name, serve := range map[string]func(s *Stream, h *loopRun){
		"ReadLoop": func(s *Stream, h *loopRun) {
			for s.Fast().ReadLoop(context.Background(), func(f []byte, err error) bool {
				if err == nil {
					h.frames <- string(f)
				}
				return err == nil
			}) == netfd.Idle {
			}
		},
		"Receive": func(s *Stream, h *loopRun) {
			for {
				f, err := s.Receive(context.Background(), nil)
				if err != nil {
					return
				}
				h.frames <- string(f)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			peer, b := sockets(t)
			l := new(ledger)
			s := NewStream(b, StreamConfig{Idle: -1, Memory: l})
			h := &loopRun{t: t, frames: make(chan string, 10)}
			done := make(chan struct{})
			go func() {
				serve(s, h)
				close(done)
			}()
			for range 3 { // the read loop reads less often from a peer that has sent two frames
				say(t, peer, "[0]")
				h.want("[0]")
			}
			l.wantBooked(t, "between frames nothing is", none)
			say(t, peer, "[1,")
			l.wantBooked(t, "half a frame is", few)
			say(t, peer, "2]")
			h.want("[1,2]")
			l.wantBooked(t, "the frame has been taken", none)
			say(t, peer, "[3,")
			l.wantBooked(t, "half a frame is", few)
			require.NoError(t, s.Close())
			<-done
			l.wantBooked(t, "the conn is closed", none)
			require.Equal(t, 1, l.opened)
			require.Equal(t, 1, l.closed)
		})
	}
}

// A frame that cannot become whole is not kept.
func TestNothingIsBookedAfterReceivingHasEnded(t *testing.T) {
	peer, b := sockets(t)
	l := new(ledger)
	s := NewStream(b, StreamConfig{Idle: -1, MaxFrame: 100 << 10, Memory: l})
	defer s.Close()
	go func() { _, _ = io.WriteString(peer, "["+strings.Repeat("1", 200<<10)+"]") }()
	_, err := s.Receive(t.Context(), nil)
	var bad *FrameError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, TooLarge, bad.Reason)
	require.Zero(t, l.now())
	require.Zero(t, cap(s.in.data))
	require.Greater(t, l.most, 100<<10)
}

// While an array is copied into a longer one both are booked, and after it only the longer one. Near the limit the
// longer one is not twice as long.
func TestAGrowingFrameBooksItsArrays(t *testing.T) {
	frame := "[" + strings.Repeat("1", 150<<10) + "]"
	for _, limit := range []int{0, 340 << 10} {
		peer, b := sockets(t)
		l := &ledger{limit: limit}
		s := NewStream(b, StreamConfig{Idle: -1, Memory: l})
		go func() { _, _ = io.WriteString(peer, frame[:len(frame)-1]) }()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		l2 := make(chan error, 1)
		go func() {
			_, err := s.Receive(ctx, nil)
			l2 <- err
		}()
		l.wantBooked(t, "one array is", func(n int) bool { return n >= 150<<10 && n <= 300<<10 })
		say(t, peer, "]")
		require.NoError(t, <-l2, "limit %d", limit)
		require.NoError(t, s.Close())
	}
}

// When the bytes are in the longer array, only that one is booked.
func TestAfterGrowingOneArrayIsBooked(t *testing.T) {
	l := new(ledger)
	s := NewStream(&script{pieces: [][]byte{bytes.Repeat([]byte("["), 500<<10)}}, StreamConfig{Idle: -1, Memory: l})
	defer s.Close()
	grown := 0
	for range 50 {
		if s.in.read() != nil {
			break
		}
		if s.in.large == nil && s.in.small == nil {
			require.Equal(t, s.in.arraySize, l.now())
			grown++
		}
	}
	require.Greater(t, grown, 2)
}

// The caller of Receive owns a frame: it may append to it, and nothing overwrites it.
func TestReceivedFramesAreTheCallers(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	long := "[" + strings.Repeat("1", 100<<10) + "]"
	middle := "[" + strings.Repeat("2", 20<<10) + "]"
	for _, said := range []string{"[0]", "[0][1]", long, long + "[2]", middle, middle, middle} {
		go func() { _, _ = io.WriteString(peer, said) }()
		first, err := s.Receive(t.Context(), nil)
		require.NoError(t, err)
		_ = append(first, "xxxx"...)
		got := string(first)
		for len(got) < len(said) {
			next, err := s.Receive(t.Context(), nil)
			require.NoError(t, err)
			got += string(next)
		}
		require.Equal(t, said, got)
		go func() { _, _ = io.WriteString(peer, "[3]") }()
		_, err = s.Receive(t.Context(), nil)
		require.NoError(t, err)
		z := "[" + strings.Repeat("3", 20<<10) + "]" // uses the buffers that were used
		go func() { _, _ = io.WriteString(peer, z) }()
		_, err = s.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(said, string(first)), "it was overwritten")
	}
}

// A registering is a context that counts the functions that wait for its end.
type registering struct {
	context.Context
	waiting atomic.Int32
}

func (c *registering) AfterFunc(f func()) (stop func() bool) {
	inner := context.AfterFunc(c.Context, f)
	c.waiting.Add(1)
	return func() bool {
		stopped := inner()
		if stopped {
			c.waiting.Add(-1)
		}
		return stopped
	}
}

// Value hides the context that is embedded: package context registers with that one otherwise.
func (c *registering) Value(any) any { return nil }

// A conn that is closed does not stay registered with the contexts with which it was read and written.
func TestCloseReleasesContexts(t *testing.T) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	read, write := &registering{Context: cancellable}, &registering{Context: cancellable}
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	say(t, peer, "[0]")
	_, err := s.Receive(read, nil)
	require.NoError(t, err)
	require.NoError(t, s.Send(write, []byte("[1]")))
	require.EqualValues(t, 1, read.waiting.Load())
	require.EqualValues(t, 1, write.waiting.Load())
	require.NoError(t, s.Close())
	require.Zero(t, read.waiting.Load())
	require.Zero(t, write.waiting.Load())
	late := &registering{Context: cancellable}
	s.readEnd.Watch(late) // by a Receive that had not seen the Close
	require.Zero(t, late.waiting.Load())
}

// A descriptor that is waited for in two ways: os.ErrDeadlineExceeded of a limit is a timeout also while the context lives.
func TestReceiveAfterAContextEndedWaitsAgain(t *testing.T) {
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := s.Receive(ctx, nil)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, i)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	say(t, peer, "[0]")
	require.Equal(t, "[0]", receive(t, s))
}

// A conn that receives frames within the time is not idle when the time has passed. The loop sets it once more.
func TestConnThatReceivedFramesIsIdleOnlyAfterAnotherTime(t *testing.T) {
	peer, b, timed := patient(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	h := startLoop(t, s, context.Background(), nil)
	say(t, peer, "[0]")
	h.want("[0]")
	<-timed
	say(t, peer, "[1]")
	h.want("[1]")
	past := time.Unix(1, 0)
	require.NoError(t, b.Conn.SetReadDeadline(past)) // the time of the loop passes
	select {
	case <-timed:
	case <-h.result:
		t.Fatal("the conn is idle")
	}
	require.NoError(t, b.Conn.SetReadDeadline(past))
	h.wantIdle()
}

// A frame that was copied to the caller is not booked any more, also before the next read.
func TestFrameIsNotBookedAfterItWasCopied(t *testing.T) {
	peer, b := sockets(t)
	l := new(ledger)
	s := NewStream(b, StreamConfig{Idle: -1, Memory: l})
	defer s.Close()
	go func() { _, _ = io.WriteString(peer, "["+strings.Repeat("1", 150<<10)+"]") }()
	_, err := s.Receive(t.Context(), make([]byte, 0, 200<<10))
	require.NoError(t, err)
	require.Greater(t, l.most, 150<<10)
	require.Zero(t, l.now())
}
