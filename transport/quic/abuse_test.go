package quic_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// soon is how long a good client waits while others attack.
func soon() time.Duration {
	if testkit.RaceEnabled {
		return 10 * time.Second
	}
	return time.Second
}

// requireServed checks that a good client, with a connection of its own, is served soon.
func requireServed(t *testing.T, l transport.Listener) {
	t.Helper()
	ctx := within(t, soon())
	c, err := to(t, l.Addr()).Dial(ctx)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Send(ctx, []byte(`{"good":1}`)))
	_, err = c.Receive(ctx, nil)
	require.NoError(t, err)
}

// requireFreed checks that the daemon has no connection left.
func requireFreed(t *testing.T, l transport.Listener) {
	t.Helper()
	testkit.Eventually(t, func() bool { return quic.Counted(l) == 0 }, "all connections are gone")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestManyStreamsOpenedAndReset(t *testing.T) {
	count := 10000
	if testkit.RaceEnabled {
		count = 3000
	}
	l := listen(t, place(t))
	serveEcho(l)
	conn, err := dialRawConn(within(t, testkit.Timeout), t, l.Addr())
	require.NoError(t, err)
	before := heap()
	for i := range count {
		stream, err := conn.OpenStreamSync(within(t, testkit.Timeout))
		require.NoError(t, err)
		_, err = stream.Write([]byte(`{"half`))
		require.NoError(t, err)
		stream.CancelWrite(7)
		stream.CancelRead(7)
		if i%1000 == 0 {
			requireServed(t, l)
		}
	}
	requireServed(t, l)
	require.Less(t, heap(), before+16<<20)
	require.NoError(t, conn.CloseWithError(0, ""))
	requireFreed(t, l)
}

// Many connections have streams with a frame that never ends.
func TestManyUnfinishedFrames(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	before, conns := heap(), []*quicgo.Conn{}
	for range 20 {
		conn, err := dialRawConn(within(t, testkit.Timeout), t, l.Addr())
		require.NoError(t, err)
		conns = append(conns, conn)
		for range 100 {
			stream, err := conn.OpenStream()
			require.NoError(t, err)
			_, err = stream.Write([]byte(`{"half`))
			require.NoError(t, err)
		}
		_, err = conn.OpenStream()
		require.Error(t, err, "a hundred are enough")
	}
	requireServed(t, l)
	grown := int64(heap() - before)
	t.Logf("%d KiB for each of 2000 streams, both ends", grown>>10/2000)
	require.Less(t, grown, int64(64<<20))
	for _, conn := range conns {
		require.NoError(t, conn.CloseWithError(0, ""))
	}
	requireFreed(t, l)
}

// Bytes that are not read are bounded by the windows: one window for the connection, and one packet for each stream.
func TestUnreadBytesAreBoundedByWindows(t *testing.T) {
	at := place(t)
	at.Idle = time.Minute
	l := listen(t, at)
	conn, err := dialRawConn(within(t, testkit.Timeout), t, l.Addr())
	require.NoError(t, err)
	before := heap()
	sent := 0
	for range 100 {
		stream, err := conn.OpenStream()
		require.NoError(t, err)
		require.NoError(t, stream.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		n, err := stream.Write(make([]byte, 1<<20))
		require.Error(t, err)
		sent += n
	}
	require.LessOrEqual(t, sent, 1<<20+100*1500)
	require.Less(t, int64(heap()-before), int64(16<<20))
	go func() { // accepts, and reads only from later conns
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			if c.Peer().Addr.String() == conn.LocalAddr().String() {
				continue
			}
			go echo(c)
		}
	}()
	requireServed(t, l)
	require.NoError(t, conn.CloseWithError(0, ""))
	requireFreed(t, l)
}

// A client that does not read its replies delays only its own replies.
func TestUnreadRepliesDelayNoOtherClient(t *testing.T) {
	l := listen(t, place(t))
	dialer := to(t, l.Addr())
	_, accepted := pair(t, l, dialer)
	other, alsoAccepted := pair(t, l, dialer)
	big := []byte(mebibyte)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	sent := 0
	var err error
	for ; err == nil; sent++ {
		err = accepted.Send(ctx, big)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, sent, 8, "MiB for a stream that is not read")
	done := make(chan error, 1)
	go func() { done <- alsoAccepted.Send(context.Background(), big, []byte("{}")) }()
	require.Equal(t, mebibyte, receive(t, other))
	require.Equal(t, "{}", receive(t, other))
	require.NoError(t, <-done)
}
