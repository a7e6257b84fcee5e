//go:build linux

package netfd

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
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

// An owner is a connection with its Conn, as transport.Stream.
type owner struct {
	net.Conn
	fd Conn
}

// own returns an owner of c, which is closed at the end of the test.
func own(t *testing.T, c net.Conn) *owner {
	t.Helper()
	o := &owner{Conn: c}
	require.True(t, o.fd.Init(c))
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// Close implements net.Conn as an owner must.
func (o *owner) Close() error {
	if !o.fd.SetClosed() {
		return nil
	}
	err := o.Conn.Close()
	o.fd.WakeParked()
	return err
}

// running returns a Poller that runs until the test or end ends it.
func running(t *testing.T) (p *Poller, end func()) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	p, err := NewPoller()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { p.Run(ctx) })
	end = func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(func() {
		end()
		require.Len(t, p.free, len(p.registrations), "a conn is still registered")
		goleak.VerifyNone(t, leaks)
	})
	return p, end
}

// parked returns a conn that is parked in p, its peer, and the channel that its wake function sends to.
func parked(t *testing.T, p *Poller) (peer net.Conn, o *owner, woken chan struct{}) {
	t.Helper()
	peer, b := sockets(t)
	o = own(t, b)
	woken = make(chan struct{}, 10)
	park(t, p, o, woken)
	return peer, o, woken
}

func park(t *testing.T, p *Poller, o *owner, woken chan struct{}) {
	t.Helper()
	require.True(t, p.Add(&o.fd, func() { woken <- struct{}{} }))
}

func wantWoken(t *testing.T, woken chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("the conn is not woken")
	}
}

func writeText(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func wantText(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestBytesWakeOnlyTheirConn(t *testing.T) {
	p, _ := running(t)
	peer, o, woken := parked(t, p)
	_, _, other := parked(t, p)
	for _, text := range []string{"1", "2", "3"} {
		require.Empty(t, woken)
		writeText(t, peer, text)
		wantWoken(t, woken)
		wantText(t, o, text)
		park(t, p, o, woken)
	}
	writeText(t, peer, "4")
	wantWoken(t, woken)
	wantText(t, o, "4")
	writeText(t, peer, "5") // while the conn is not parked
	park(t, p, o, woken)
	wantWoken(t, woken)
	wantText(t, o, "5")
	require.Empty(t, woken)
	require.Empty(t, other)
}

func TestHangUpWakes(t *testing.T) {
	p, _ := running(t)
	peer, o, woken := parked(t, p)
	require.NoError(t, peer.(*net.UnixConn).CloseWrite())
	wantWoken(t, woken)
	_, err := o.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	peer, _, woken = parked(t, p)
	require.NoError(t, peer.Close())
	wantWoken(t, woken)
}

// The kernel reports nothing when a descriptor is closed, and gives its number to the next one.
func TestCloseWakesAParkedConn(t *testing.T) {
	p, _ := running(t)
	for range 100 {
		_, o, woken := parked(t, p)
		require.NoError(t, o.Close())
		require.Len(t, woken, 1)
		require.False(t, p.Add(&o.fd, func() { woken <- struct{}{} }))
		require.Len(t, woken, 1)
	}
	peer, o, woken := parked(t, p)
	writeText(t, peer, "1")
	wantWoken(t, woken)
	wantText(t, o, "1")
}

func TestEndOfRunWakesAllAndRefusesMore(t *testing.T) {
	p, end := running(t)
	var all []chan struct{}
	var owners []*owner
	for range 3 {
		_, o, woken := parked(t, p)
		all, owners = append(all, woken), append(owners, o)
	}
	end()
	for i, woken := range all {
		require.Len(t, woken, 1)
		require.False(t, p.Add(&owners[i].fd, func() { woken <- struct{}{} }), "no event would wake it")
		require.NoError(t, owners[i].Close())
		require.Len(t, woken, 1)
	}
	_, b := sockets(t)
	o := own(t, b)
	require.False(t, p.Add(&o.fd, func() {}), "it was never parked")
}

// More conns have an event at once than the kernel reports at once: the wake function of the first conn waits until all
// others have one.
func TestMoreEventsThanOneCallReportsWakeAllConns(t *testing.T) {
	p, _ := running(t)
	const many = 500
	written := make(chan struct{})
	var woken atomic.Int32
	all := make(chan struct{})
	add := func(first bool) (peer net.Conn) {
		peer, b := sockets(t)
		o := own(t, b)
		require.True(t, p.Add(&o.fd, func() {
			if first {
				<-written
			}
			if woken.Add(1) == many {
				close(all)
			}
		}))
		return peer
	}
	first := add(true)
	var others []net.Conn
	for range many - 1 {
		others = append(others, add(false))
	}
	writeText(t, first, "1")
	require.Eventually(t, func() bool { return parkedConns(p) == many-1 }, 10*time.Second, time.Millisecond)
	for _, peer := range others {
		writeText(t, peer, "1")
	}
	close(written)
	wantWoken(t, all)
}

// parkedConns returns how many conns are parked in p.
func parkedConns(p *Poller) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.registrations) - len(p.free)
}

func TestConnWithoutADescriptorIsNotParked(t *testing.T) {
	p, _ := running(t)
	peer, b := net.Pipe()
	var c Conn
	require.False(t, c.Init(b))
	require.False(t, c.HasDescriptor())
	require.False(t, p.Add(&c, func() {}))
	p.Wake(&c)
	c.WakeParked()
	require.NoError(t, b.Close())
	require.NoError(t, peer.Close())
}

// The peer, Close and the end of Run may wake a conn at the same time. It is woken once.
func TestEventsAtTheSameTimeWakeOnce(t *testing.T) {
	for range 200 {
		p, err := NewPoller()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() { p.Run(ctx) })
		peer, b := sockets(t)
		o := own(t, b)
		var woken atomic.Int32
		begin := make(chan struct{})
		all.Go(func() {
			<-begin
			if !p.Add(&o.fd, func() { woken.Add(1) }) {
				woken.Add(1)
			}
		})
		all.Go(func() {
			<-begin
			_, _ = io.WriteString(peer, "1")
		})
		all.Go(func() {
			<-begin
			_ = o.Close()
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

// A lingering is a connection whose Close leaves the descriptor open, as that of a TCP conn does for a while. control
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

// A conn that is closed while it is added is either refused, or woken exactly once.
func TestCloseDuringAddWakesOrRefuses(t *testing.T) {
	p, _ := running(t)
	for range 300 {
		_, b := sockets(t)
		var o *owner
		var closing sync.WaitGroup
		o = own(t, lingering{b, func() { closing.Go(func() { _ = o.Close() }) }})
		woken := make(chan struct{}, 2)
		added := p.Add(&o.fd, func() { woken <- struct{}{} })
		closing.Wait()
		if added {
			wantWoken(t, woken)
		}
		require.Empty(t, woken)
		require.NoError(t, b.Close())
	}
}

// Add takes a registration and arms the descriptor in one step: a late event of the previous conn of the registration
// cannot free it between the two. Then the descriptor would be armed for a free registration.
func TestStaleEventDuringAddDoesNotLoseTheConn(t *testing.T) {
	p, _ := running(t)
	_, before, wokenBefore := parked(t, p)
	require.NoError(t, before.Close()) // its registration is free, and the next one that Add takes
	wantWoken(t, wokenBefore)

	peer, b := sockets(t)
	var stale sync.WaitGroup
	early := make(chan struct{})
	o := own(t, lingering{b, func() {
		stale.Go(func() {
			p.wakeSlot(0)
			close(early)
		})
		select {
		case <-early:
			t.Error("the registration was freed before the descriptor was armed")
		case <-time.After(20 * time.Millisecond):
		}
	}})
	woken := make(chan struct{}, 2)
	require.True(t, p.Add(&o.fd, func() { woken <- struct{}{} }))
	stale.Wait()
	wantWoken(t, woken) // by the stale event, which does no harm
	writeText(t, peer, "1")
	wantText(t, o, "1")
}

// A conn that was closed before it is added is refused, also when its descriptor is open.
func TestAddRefusesAClosedConn(t *testing.T) {
	p, _ := running(t)
	_, b := sockets(t)
	o := own(t, lingering{b, func() {}})
	require.NoError(t, o.Close())
	require.False(t, p.Add(&o.fd, func() { t.Error("woken") }))
}

// Close runs after Add has registered the conn and before Add checks whether it is closed. Add then reports that the conn
// was added, because Close has called wake.
func TestCloseBehindAddWakesOnce(t *testing.T) {
	p, _ := running(t)
	_, b := sockets(t)
	o := own(t, lingering{b, func() {}})
	woken := make(chan struct{}, 2)
	o.fd.poller.Store(p)
	require.True(t, p.register(&o.fd, func() { woken <- struct{}{} }))
	require.True(t, p.openOrWoken(&o.fd))
	require.NoError(t, o.Close())
	require.Len(t, woken, 1)
	require.True(t, p.openOrWoken(&o.fd))
	require.Len(t, woken, 1)
}

// A conn that is parked again and again uses one registration, and so do conns that are parked after each other.
func TestRegistrationsAreUsedAgain(t *testing.T) {
	p, _ := running(t)
	for range 20 {
		peer, o, woken := parked(t, p)
		for range 3 {
			writeText(t, peer, "0")
			wantWoken(t, woken)
			wantText(t, o, "0")
			park(t, p, o, woken)
		}
		require.NoError(t, o.Close())
	}
	require.Len(t, p.registrations, 1)
}

// A conn that was woken and is not read does not wake the conn that has its registration now.
func TestConnThatWasWokenWakesNoOther(t *testing.T) {
	p, _ := running(t)
	peer, o, woken := parked(t, p)
	writeText(t, peer, "0")
	wantWoken(t, woken)
	_, _, wokenNext := parked(t, p) // has the registration of the first
	third, _, wokenThird := parked(t, p)
	writeText(t, third, "0")
	wantWoken(t, wokenThird)
	require.Empty(t, wokenNext)
	wantText(t, o, "0")
}

// A descriptor that cannot be added leaves no registration; the cleanup of running counts them.
func TestAddThatFailsTakesNoRegistration(t *testing.T) {
	p, _ := running(t)
	_, b := sockets(t)
	o := own(t, b)
	require.NoError(t, b.Close())
	require.False(t, p.Add(&o.fd, func() { t.Error("woken") }))
}

func TestEventForAFreeRegistrationIsIgnored(t *testing.T) {
	p, _ := running(t)
	_, o, _ := parked(t, p)
	require.NoError(t, o.Close())
	p.wakeSlot(0)
	_, _, first := parked(t, p)
	_, second, wokenSecond := parked(t, p)
	require.NoError(t, second.Close())
	require.Len(t, wokenSecond, 1)
	require.Empty(t, first)
}

func TestWakeConcernsOnlyItsPoller(t *testing.T) {
	p, _ := running(t)
	other, _ := running(t)
	_, _, wokenThere := parked(t, other)
	_, o, woken := parked(t, p)
	other.Wake(&o.fd)
	require.Empty(t, woken)
	require.Empty(t, wokenThere)
}

func TestWakeWakesAParkedConnOnce(t *testing.T) {
	p, _ := running(t)
	peer, o, woken := parked(t, p)
	_, _, other := parked(t, p)
	p.Wake(&o.fd)
	wantWoken(t, woken)
	p.Wake(&o.fd)
	require.Empty(t, woken, "it is not parked any more")
	require.Empty(t, other)
	writeText(t, peer, "1")
	wantText(t, o, "1")
	park(t, p, o, woken)
	writeText(t, peer, "2")
	wantWoken(t, woken)
	wantText(t, o, "2")
}

func TestRemoveReturnsTheWakeFunctionWithoutACall(t *testing.T) {
	p, _ := running(t)
	_, o, woken := parked(t, p)
	wake := p.Remove(&o.fd)
	require.Empty(t, woken)
	wake()
	require.Len(t, woken, 1)
	require.Nil(t, p.Remove(&o.fd))
}

// The callback runs at once, and again for each event. It reads nothing where nothing has come.
func TestReadLoopCallsBackUntilDone(t *testing.T) {
	peer, b := sockets(t)
	o := own(t, b)
	calls := make(chan int, 10)
	var got []byte
	done := make(chan error, 1)
	require.False(t, o.fd.InLoop())
	go func() {
		done <- o.fd.ReadLoop(func() bool {
			buf := make([]byte, 8)
			n, drained, err := o.fd.TryRead(buf)
			if err != nil || !o.fd.InLoop() || drained != (n > 0) {
				t.Error(n, drained, err)
			}
			got = append(got, buf[:n]...)
			calls <- n
			return len(got) == 2
		})
	}()
	require.Zero(t, <-calls)
	writeText(t, peer, "1")
	require.Equal(t, 1, <-calls)
	writeText(t, peer, "2")
	require.NoError(t, <-done)
	require.Equal(t, "12", string(got))
	require.False(t, o.fd.InLoop())
}

func TestReadThatFillsItsBufferIsNotDrained(t *testing.T) {
	peer, b := sockets(t)
	o := own(t, b)
	writeText(t, peer, "12345")
	require.NoError(t, peer.Close())
	var reads []int
	var last error
	require.NoError(t, o.fd.WaitReadable(func() bool {
		require.False(t, o.fd.InLoop())
		for last == nil {
			n, drained, err := o.fd.TryRead(make([]byte, 4))
			require.Equal(t, n == 1, drained && err == nil)
			reads, last = append(reads, n), err
		}
		return true
	}))
	require.Equal(t, []int{4, 1, 0}, reads)
	require.Equal(t, io.EOF, last)
}

// TryWrite and TryWriteBuffers stop where the socket buffer is full, and Write waits.
func TestWritesContinueWhereTryWriteStopped(t *testing.T) {
	peer, b := sockets(t)
	o := own(t, b)
	text := make([]byte, 300_000)
	for i := range text {
		text[i] = byte(i * 7)
	}
	var want []byte
	var rest []byte
	writeText(t, peer, "0")
	require.NoError(t, o.fd.WaitReadable(func() bool {
		for {
			n, err := o.fd.TryWrite(text[:1000])
			require.NoError(t, err)
			want = append(want, text[:1000]...)
			if n < 1000 {
				rest = text[n:1000]
				return true
			}
			left, err := o.fd.TryWriteBuffers(net.Buffers{text[:10], nil, text[10:]})
			require.NoError(t, err)
			want = append(want, text...)
			if len(left) > 0 {
				for _, piece := range left {
					rest = append(rest, piece...)
				}
				return true
			}
		}
	}))
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- all
	}()
	rest = append(rest[:len(rest):len(rest)], text...)
	want = append(want, text...)
	n, err := o.fd.Write(rest)
	require.NoError(t, err)
	require.Equal(t, len(rest), n)
	require.NoError(t, o.Close())
	require.Equal(t, want, <-got)
}

func TestWriteDeadlineEndsAWriteInTheMiddle(t *testing.T) {
	peer, b := sockets(t)
	o := own(t, b)
	deadline := make(chan error, 1)
	go func() { // the deadline passes when the write has begun
		_, err := peer.Read(make([]byte, 1))
		deadline <- errors.Join(err, o.SetWriteDeadline(time.Now()))
	}()
	n, err := o.fd.Write(make([]byte, 16<<20))
	require.True(t, errors.Is(err, os.ErrDeadlineExceeded), err)
	require.NoError(t, <-deadline)
	require.Positive(t, n)
	require.Less(t, n, 16<<20)
}
