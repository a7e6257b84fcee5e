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
	dialer := to(t, l.Addr())
	first, serverSide := pair(t, l, dialer)
	for range 20 {
		dialed, accepted := pair(t, l, dialer)
		require.Equal(t, first.Peer().Session, dialed.Peer().Session)
		require.Equal(t, serverSide.Peer().Session, accepted.Peer().Session)
		require.NoError(t, accepted.Close())
		require.NoError(t, dialed.Close())
	}
	require.Equal(t, 1, quic.Links(dialer))
	require.Equal(t, 1, quic.Sessions(l))
	require.NoError(t, serverSide.Close())
	require.NoError(t, first.Close())
	testkit.Eventually(t, func() bool {
		return quic.Links(dialer) == 0 && quic.Sessions(l) == 0 && quic.Counted(l) == 0
	}, "the connection ends with its last conn")
}

// Close does not wait after the client has received the end of the stream, and the connection is closed.
func TestCloseAfterTheEndDoesNotWait(t *testing.T) {
	l := listen(t, place(t))
	dialer := to(t, l.Addr())
	dialed, accepted := pair(t, l, dialer)
	send(t, accepted, "{}")
	require.NoError(t, accepted.Close())
	require.Equal(t, "{}", receive(t, dialed))
	_, err := dialed.Receive(within(t, testkit.Timeout), nil)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, dialed.Close())
	testkit.Eventually(t, func() bool { return quic.Links(dialer) == 0 && quic.Counted(l) == 0 }, "all is closed")
}

// The daemon reads a request to its end, even if the client closes at once and the daemon reads slowly.
func TestRequestIsReadAfterClientCloses(t *testing.T) {
	l := listen(t, place(t))
	dialer := to(t, l.Addr())
	c := dial(t, dialer)
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
	testkit.Eventually(t, func() bool { return quic.Links(dialer) == 0 }, "and the client has")
}

// Beyond MaxStreams another connection is made. A conn that is closed makes room for the next one.
func TestAnotherConnectionBeyondMaxStreams(t *testing.T) {
	at := place(t)
	at.MaxStreams = 3
	l := listen(t, at)
	dialer := to(t, l.Addr())
	var accepted []transport.Conn
	for range 7 {
		_, a := pair(t, l, dialer)
		accepted = append(accepted, a)
	}
	require.Equal(t, 3, quic.Sessions(l))
	require.Equal(t, accepted[0].Peer().Session, accepted[2].Peer().Session)
	require.NotEqual(t, accepted[2].Peer().Session, accepted[3].Peer().Session)
}

// A stream counts until the daemon closes it, even if the client has closed it before.
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

// Concurrent calls of Dial share a handshake. A call whose context ends does not end it for the others.
func TestConcurrentDialsShareAHandshake(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	dialer := to(t, l.Addr())
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
			c, err := dialer.Dial(ctx)
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
	require.LessOrEqual(t, quic.Links(dialer), 2) // one may have been closed since all had given up
}

// A handshake for which no Dial waits is closed.
func TestHandshakeWithoutDialIsClosed(t *testing.T) {
	l := listen(t, place(t))
	serveEcho(l)
	errGivenUp := errors.New("given up")
	for i := range 50 {
		dialer := to(t, l.Addr())
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i)*200*time.Microsecond, errGivenUp)
		c, err := dialer.Dial(ctx)
		cancel()
		if err == nil {
			require.NoError(t, c.Close())
		} else {
			require.ErrorIs(t, err, errGivenUp)
		}
		testkit.Eventually(t, func() bool { return quic.Links(dialer) == 0 }, "no connection is left")
	}
	require.NoError(t, l.Close())
	testkit.Eventually(t, func() bool { return quic.Counted(l) == 0 }, "and none at the daemon")
}

func TestPassedPacketConnIsUsed(t *testing.T) {
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

func TestPassedSocketOfAnotherTypeIsRefused(t *testing.T) {
	sock, err := net.ListenPacket("unixgram", t.TempDir()+"/x")
	require.NoError(t, err)
	defer sock.Close()
	at := place(t)
	at.PacketConn = sock
	_, err = at.Listen(t.Context())
	require.ErrorContains(t, err, "a unixgram socket (*net.UnixConn) was passed; QUIC needs UDP")
}

// The address of a listener is in use until the listener is closed.
func TestAddressIsInUseUntilClose(t *testing.T) {
	l := listen(t, place(t))
	at := place(t)
	at.Address = l.Addr().String()
	_, err := at.Listen(t.Context())
	require.ErrorContains(t, err, "listen quic "+at.Address+": bind: address already in use")
	require.NoError(t, l.Close())
	listen(t, at)
}
