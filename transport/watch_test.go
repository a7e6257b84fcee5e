//go:build linux

package transport

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// watching returns a Watch that runs until the test or end ends it.
func watching(t *testing.T) (w *Watch, end func()) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	w, err := NewWatch()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	end = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(func() {
		end()
		require.Len(t, w.free, len(w.posts), "somebody is still watched")
		goleak.VerifyNone(t, leaks)
	})
	return w, end
}

// watched returns a stream that is watched, its peer, and what tells that somebody was woken.
func watched(t *testing.T, w *Watch) (peer net.Conn, s *Stream, woken chan struct{}) {
	t.Helper()
	peer, b := sockets(t)
	s = NewStream(b, StreamConfig{})
	t.Cleanup(func() { _ = s.Close() })
	woken = make(chan struct{}, 10)
	watch(t, w, s, woken)
	return peer, s, woken
}

func watch(t *testing.T, w *Watch, s *Stream, woken chan struct{}) {
	t.Helper()
	require.True(t, w.Add(s, func() { woken <- struct{}{} }))
}

func wantWoken(t *testing.T, woken chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is woken")
	}
}

func TestWatchWakesWhoHasBeenSpokenTo(t *testing.T) {
	w, _ := watching(t)
	peer, s, woken := watched(t, w)
	_, _, other := watched(t, w)
	for _, frame := range []string{"[1]", "[2]", "[3]"} {
		require.Empty(t, woken)
		say(t, peer, frame)
		wantWoken(t, woken)
		require.Equal(t, frame, receive(t, s))
		watch(t, w, s, woken)
	}
	say(t, peer, "[4][5]")
	wantWoken(t, woken)
	require.Equal(t, "[4]", receive(t, s))
	require.False(t, w.Add(s, func() { t.Error("nobody said so") }), "there is more to receive")
	require.Equal(t, "[5]", receive(t, s))
	say(t, peer, "[6]") // while nobody watches
	watch(t, w, s, woken)
	wantWoken(t, woken)
	require.Equal(t, "[6]", receive(t, s))
	require.Empty(t, woken)
	require.Empty(t, other)
}

func TestWatchWakesWhosePeerHangsUp(t *testing.T) {
	w, _ := watching(t)
	peer, s, woken := watched(t, w)
	require.NoError(t, peer.(*net.UnixConn).CloseWrite())
	wantWoken(t, woken)
	_, err := s.Receive(t.Context(), nil)
	require.ErrorIs(t, err, io.EOF)
	peer, _, woken = watched(t, w)
	require.NoError(t, peer.Close())
	wantWoken(t, woken)
}

// The kernel says nothing when a descriptor is closed here, and gives its number to another.
func TestWatchWakesWhoIsClosed(t *testing.T) {
	w, _ := watching(t)
	for range 100 {
		_, s, woken := watched(t, w)
		require.NoError(t, s.Close())
		require.Len(t, woken, 1)
		_, err := s.Receive(t.Context(), nil)
		require.ErrorIs(t, err, net.ErrClosed)
		require.False(t, w.Add(s, func() { woken <- struct{}{} }))
		require.Len(t, woken, 1)
	}
	peer, s, woken := watched(t, w)
	say(t, peer, "[1]")
	wantWoken(t, woken)
	require.Equal(t, "[1]", receive(t, s))
}

func TestWatchEnds(t *testing.T) {
	w, end := watching(t)
	var all []chan struct{}
	var streams []*Stream
	for range 3 {
		_, s, woken := watched(t, w)
		all, streams = append(all, woken), append(streams, s)
	}
	end()
	for i, woken := range all {
		require.Len(t, woken, 1)
		require.False(t, w.Add(streams[i], func() { woken <- struct{}{} }), "nobody would wake it")
		require.NoError(t, streams[i].Close())
		require.Len(t, woken, 1)
	}
	_, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	require.False(t, w.Add(s, func() {}), "it has never been watched")
	require.NoError(t, s.Close())
}

// More conns have an event at once than the kernel reports at once: the wake function of the first conn waits until all
// others have one.
func TestWatchWakesMoreConnsThanOneCallReports(t *testing.T) {
	w, _ := watching(t)
	const many = 500
	said := make(chan struct{})
	var woken atomic.Int32
	all := make(chan struct{})
	park := func(first bool) (peer net.Conn) {
		peer, b := sockets(t)
		s := NewStream(b, StreamConfig{})
		t.Cleanup(func() { _ = s.Close() })
		require.True(t, w.Add(s, func() {
			if first {
				<-said
			}
			if woken.Add(1) == many {
				close(all)
			}
		}))
		return peer
	}
	first := park(true)
	var others []net.Conn
	for range many - 1 {
		others = append(others, park(false))
	}
	say(t, first, "[1]")
	require.Eventually(t, func() bool { return watchedConns(w) == many-1 }, 10*time.Second, time.Millisecond)
	for _, peer := range others {
		say(t, peer, "[1]")
	}
	close(said)
	wantWoken(t, all)
}

// watchedConns returns how many conns w watches.
func watchedConns(w *Watch) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.posts) - len(w.free)
}

func TestWatchNeedsADescriptor(t *testing.T) {
	w, _ := watching(t)
	peer, b := net.Pipe()
	s := NewStream(b, StreamConfig{})
	require.False(t, w.Add(s, func() {}))
	require.NoError(t, s.Close())
	require.NoError(t, peer.Close())
}

// Whoever wakes a stream, its peer, who closes it or the end of the Watch, it is woken once.
func TestWatchWakesOnce(t *testing.T) {
	for range 200 {
		w, err := NewWatch()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() { w.Run(ctx) })
		peer, b := sockets(t)
		s := NewStream(b, StreamConfig{})
		var woken atomic.Int32
		begin := make(chan struct{})
		all.Go(func() {
			<-begin
			if !w.Add(s, func() { woken.Add(1) }) {
				woken.Add(1)
			}
		})
		all.Go(func() {
			<-begin
			_, _ = io.WriteString(peer, "[1]")
		})
		all.Go(func() {
			<-begin
			_ = s.Close()
		})
		all.Go(func() {
			<-begin
			cancel()
		})
		close(begin)
		all.Wait()
		require.EqualValues(t, 1, woken.Load())
	}
}

// A lingering is a stream of bytes whose Close leaves the descriptor open, as that of a TCP conn does for a while. control
// runs while the descriptor is being armed.
type lingering struct {
	net.Conn
	control func()
}

func (l lingering) Close() error { return nil }

func (l lingering) SyscallConn() (syscall.RawConn, error) {
	raw, err := l.Conn.(syscall.Conn).SyscallConn()
	return controlled{raw, l.control}, err
}

type controlled struct {
	syscall.RawConn
	before func()
}

func (c controlled) Control(f func(fd uintptr)) error {
	return c.RawConn.Control(func(fd uintptr) {
		c.before()
		f(fd)
	})
}

// A conn that is closed at the moment in which it is added is either not watched, or wakes exactly once.
func TestCloseWhileConnIsAddedWakesOrRefuses(t *testing.T) {
	w, _ := watching(t)
	for range 300 {
		_, b := sockets(t)
		var s *Stream
		var closing sync.WaitGroup
		s = NewStream(lingering{b, func() { closing.Go(func() { _ = s.Close() }) }}, StreamConfig{})
		woken := make(chan struct{}, 2)
		added := w.Add(s, func() { woken <- struct{}{} })
		closing.Wait()
		if added {
			wantWoken(t, woken)
		}
		require.Empty(t, woken)
		require.NoError(t, b.Close())
	}
}

// Taking a post and arming the descriptor are one step: an event of the previous holder of the post, which the kernel
// tells late, cannot empty the post between the two. Then the descriptor would be armed for an empty post.
func TestStaleEventDuringAddDoesNotLoseTheConn(t *testing.T) {
	w, _ := watching(t)
	_, before, wokenBefore := watched(t, w)
	require.NoError(t, before.Close()) // its post is free, and the next one to be taken
	wantWoken(t, wokenBefore)

	peer, b := sockets(t)
	var stale sync.WaitGroup
	early := make(chan struct{})
	s := NewStream(lingering{b, func() {
		stale.Go(func() {
			w.wakeAt(0)
			close(early)
		})
		select {
		case <-early:
			t.Error("the post was emptied before the descriptor was armed")
		case <-time.After(20 * time.Millisecond):
		}
	}}, StreamConfig{})
	woken := make(chan struct{}, 2)
	require.True(t, w.Add(s, func() { woken <- struct{}{} }))
	stale.Wait()
	wantWoken(t, woken) // by the stale event, which does no harm
	_, err := peer.Write([]byte("{}"))
	require.NoError(t, err)
	frame, err := s.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "{}", string(frame))
}

// A conn that was closed before it is added is refused, also when its descriptor is open.
func TestAddRefusesAClosedConn(t *testing.T) {
	w, _ := watching(t)
	_, b := sockets(t)
	s := NewStream(lingering{b, func() {}}, StreamConfig{})
	require.NoError(t, s.Close())
	require.False(t, w.Add(s, func() { t.Error("woken") }))
}

// Between the moment in which a conn is added and the one in which Add looks whether it was closed, Close wakes. Add then
// reports that the conn was added, since wake has been called.
func TestCloseBehindAddWakesOnce(t *testing.T) {
	w, _ := watching(t)
	_, b := sockets(t)
	s := NewStream(lingering{b, func() {}}, StreamConfig{})
	woken := make(chan struct{}, 2)
	s.watch.Store(w)
	require.True(t, w.add(s, func() { woken <- struct{}{} }))
	require.True(t, w.addedOpen(s))
	require.NoError(t, s.Close())
	require.Len(t, woken, 1)
	require.True(t, w.addedOpen(s))
	require.Len(t, woken, 1)
}

// The frame of the last callback need not be taken any more, and the context with which the conn was read is released.
func TestAddTakesTheLastFrameAndReleasesTheContext(t *testing.T) {
	w, _ := watching(t)
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx := &registering{Context: cancellable}
	h := hear(t, s, ctx, func(string) bool { return false })
	say(t, peer, "[0]")
	require.False(t, <-h.quiet)
	require.EqualValues(t, 1, ctx.waiting.Load())
	woken := make(chan struct{}, 2)
	watch(t, w, s, woken)
	require.Zero(t, ctx.waiting.Load())
	say(t, peer, "[1]")
	wantWoken(t, woken)
	require.Equal(t, "[1]", receive(t, s))
}

// A conn that waits again and again takes one place, and so do conns that wait after each other.
func TestPlacesAreUsedAgain(t *testing.T) {
	w, _ := watching(t)
	for range 20 {
		peer, s, woken := watched(t, w)
		for range 3 {
			say(t, peer, "[0]")
			wantWoken(t, woken)
			require.Equal(t, "[0]", receive(t, s))
			watch(t, w, s, woken)
		}
		require.NoError(t, s.Close())
	}
	require.Len(t, w.posts, 1)
}

// A conn that was woken and has not been read from does not wake the one that has its place now.
func TestConnThatWasWokenWakesNoOther(t *testing.T) {
	w, _ := watching(t)
	peer, s, woken := watched(t, w)
	say(t, peer, "[0]")
	wantWoken(t, woken)
	_, _, wokenNext := watched(t, w) // has the place of the first
	third, _, wokenThird := watched(t, w)
	say(t, third, "[0]")
	wantWoken(t, wokenThird)
	require.Empty(t, wokenNext)
	require.Equal(t, "[0]", receive(t, s))
}

// A descriptor that cannot be added leaves no place taken; the cleanup of watching counts them.
func TestAddThatFailsTakesNoPlace(t *testing.T) {
	w, _ := watching(t)
	_, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	require.NoError(t, b.Close())
	require.False(t, w.Add(s, func() { t.Error("woken") }))
	_ = s.Close()
}

// An event for a place that is empty frees it no second time.
func TestEventForAnEmptyPlaceIsIgnored(t *testing.T) {
	w, _ := watching(t)
	_, s, _ := watched(t, w)
	require.NoError(t, s.Close())
	w.wakeAt(0)
	_, _, first := watched(t, w)
	_, second, wokenSecond := watched(t, w)
	require.NoError(t, second.Close())
	require.Len(t, wokenSecond, 1)
	require.Empty(t, first)
}

// Wake concerns the Watch that has the conn.
func TestWakeOfAnotherWatchIsIgnored(t *testing.T) {
	w, _ := watching(t)
	other, _ := watching(t)
	_, _, wokenThere := watched(t, other)
	_, s, woken := watched(t, w)
	other.Wake(s)
	require.Empty(t, woken)
	require.Empty(t, wokenThere)
}
