package quic_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

func TestConnsShareAConnection(t *testing.T) {
	l := listen(t, place(t))
	way := to(t, l.Addr())
	first, served := pair(t, l, way)
	for range 20 {
		dialed, accepted := pair(t, l, way)
		require.Equal(t, first.Peer().Session, dialed.Peer().Session)
		require.Equal(t, served.Peer().Session, accepted.Peer().Session)
		require.NoError(t, accepted.Close())
		require.NoError(t, dialed.Close())
	}
	require.Equal(t, 1, quic.Links(way))
	require.Equal(t, 1, quic.Sessions(l))
	require.NoError(t, served.Close())
	require.NoError(t, first.Close())
	testkit.Eventually(t, func() bool {
		return quic.Links(way) == 0 && quic.Sessions(l) == 0 && quic.Counted(l) == 0
	}, "the connection ends with its last conn")
}

// A client that has heard the end leaves nothing behind, and does not wait.
func TestCloseAfterTheEndIsAtOnce(t *testing.T) {
	l := listen(t, place(t))
	way := to(t, l.Addr())
	dialed, accepted := pair(t, l, way)
	send(t, accepted, "{}")
	require.NoError(t, accepted.Close())
	require.Equal(t, "{}", receive(t, dialed))
	_, err := dialed.Receive(within(t, testkit.Timeout), nil)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, dialed.Close())
	testkit.Eventually(t, func() bool { return quic.Links(way) == 0 && quic.Counted(l) == 0 }, "all is closed")
}

// A request that nobody waits for is read to its end, though its client closes at once and the
// daemon is slow to read.
func TestFireAndForget(t *testing.T) {
	l := listen(t, place(t))
	way := to(t, l.Addr())
	c := dial(t, way)
	send(t, c, `{"n":1}`, `{"n":2}`)
	began := time.Now()
	require.NoError(t, c.Close())
	require.Less(t, time.Since(began), time.Second)
	accepted := accept(t, l)
	select { // the daemon learns that its client has left, though it has not read
	case <-accepted.Context().Done():
	case <-time.After(testkit.Timeout):
		require.Fail(t, "the departure is not noticed")
	}
	require.NotErrorIs(t, context.Cause(accepted.Context()), net.ErrClosed)
	require.Equal(t, `{"n":1}`, receive(t, accepted))
	require.Equal(t, `{"n":2}`, receive(t, accepted))
	_, err := accepted.Receive(within(t, testkit.Timeout), nil)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 1, quic.Sessions(l))
	require.NoError(t, accepted.Close())
	testkit.Eventually(t, func() bool { return quic.Sessions(l) == 0 }, "the daemon closes the connection")
	testkit.Eventually(t, func() bool { return quic.Links(way) == 0 }, "and the client has")
}

// Beyond MaxStreams another connection is made, and a closed conn makes room.
func TestMoreConnsThanStreams(t *testing.T) {
	at := place(t)
	at.MaxStreams = 3
	l := listen(t, at)
	way := to(t, l.Addr())
	var accepted []transport.Conn
	for range 7 {
		_, a := pair(t, l, way)
		accepted = append(accepted, a)
	}
	require.Equal(t, 3, quic.Sessions(l))
	require.Equal(t, accepted[0].Peer().Session, accepted[2].Peer().Session)
	require.NotEqual(t, accepted[2].Peer().Session, accepted[3].Peer().Session)
}

// What counts is whether the daemon has closed a conn, not whether the client has lost interest.
func TestStreamsCountUntilTheDaemonClosesThem(t *testing.T) {
	at := place(t)
	at.MaxStreams = 2
	l := listen(t, at)
	conn, err := dialRawConn(within(t, testkit.Timeout), t, l.Addr())
	require.NoError(t, err)
	defer conn.CloseWithError(0, "")
	open := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		stream, err := conn.OpenStreamSync(ctx)
		if err == nil {
			_, err = stream.Write([]byte("{}"))
			stream.CancelWrite(0)
			stream.CancelRead(0)
		}
		return err
	}
	require.NoError(t, open())
	require.NoError(t, open())
	first := accept(t, l)
	_ = accept(t, l)
	<-first.Context().Done()
	require.Error(t, first.Send(t.Context(), []byte("{}")))
	_, err = first.Receive(t.Context(), nil) // both halves are done
	require.Error(t, err)
	require.ErrorIs(t, open(), context.DeadlineExceeded)
	require.NoError(t, first.Close())
	require.NoError(t, open())
	require.ErrorIs(t, open(), context.DeadlineExceeded)
}

// Many who dial at once share a handshake, and one who gives up ends it only for himself.
func TestDialersShareAHandshake(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	way := to(t, l.Addr())
	errGivenUp := errors.New("given up")
	var all sync.WaitGroup
	all.Add(40)
	for i := range 40 {
		go func() {
			defer all.Done()
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			if i%4 == 0 {
				go cancel(errGivenUp)
			}
			c, err := way.Dial(ctx)
			if err != nil {
				if !errors.Is(err, errGivenUp) {
					t.Error(err)
				}
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}()
	}
	all.Wait()
	require.LessOrEqual(t, quic.Links(way), 2) // one may have been closed since all had given up
}

// Nothing is left of a handshake that nobody waits for.
func TestGivenUpHandshake(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	errGivenUp := errors.New("given up")
	for i := range 50 {
		way := to(t, l.Addr())
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i)*200*time.Microsecond, errGivenUp)
		c, err := way.Dial(ctx)
		cancel()
		if err == nil {
			require.NoError(t, c.Close())
		} else {
			require.ErrorIs(t, err, errGivenUp)
		}
		testkit.Eventually(t, func() bool { return quic.Links(way) == 0 }, "no connection is left")
	}
	require.NoError(t, l.Close())
	testkit.Eventually(t, func() bool { return quic.Counted(l) == 0 }, "and none at the daemon")
}

func TestPassedPacketConn(t *testing.T) {
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	at := place(t)
	at.Address, at.PacketConn = "ignored", sock
	l := listen(t, at)
	require.Equal(t, sock.LocalAddr(), l.Addr())
	pair(t, l, to(t, l.Addr()))
	require.NoError(t, l.Close())
	_, err = sock.WriteTo([]byte{0}, sock.LocalAddr())
	require.NoError(t, err, "a conn is left")
}

func TestPassedSocketOfAnotherKind(t *testing.T) {
	sock, err := net.ListenPacket("unixgram", t.TempDir()+"/x")
	require.NoError(t, err)
	defer sock.Close()
	at := place(t)
	at.PacketConn = sock
	_, err = at.Listen(t.Context())
	require.ErrorContains(t, err, "a unixgram socket (*net.UnixConn) was passed; QUIC needs UDP")
}

// An address that has a listener is in use; one whose listener is closed is not.
func TestAddressInUse(t *testing.T) {
	l := listen(t, place(t))
	at := place(t)
	at.Address = l.Addr().String()
	_, err := at.Listen(t.Context())
	require.ErrorContains(t, err, "listen quic "+at.Address+": bind: address already in use")
	require.NoError(t, l.Close())
	listen(t, at)
}
