package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
)

// ends returns both ends of a stream of bytes: one directly, the other as the conn of a listener.
func ends(t *testing.T) (*pipe.End, *pipe.Conn) {
	t.Helper()
	p := pipe.New()
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	raw, err := p.DialBytes(t.Context())
	require.NoError(t, err)
	c, err := l.Accept(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = raw.Close()
		_ = c.Close()
		_ = l.Close()
	})
	return raw, c.(*pipe.Conn)
}

func TestListenTwice(t *testing.T) {
	p := new(pipe.Transport)
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	_, err = p.Listen(t.Context())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.EqualError(t, err, "listen pipe: address already in use")
	require.NoError(t, l.Close())
	l2, err := p.Listen(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Close()) // again, and that is not the new one
	_, err = p.Listen(t.Context())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, l2.Close())
}

func TestDialWithoutListenerIsRefused(t *testing.T) {
	p := pipe.New()
	_, err := p.Dial(t.Context())
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "dial", op.Op)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.EqualError(t, err, "dial pipe: connection refused")
}

func TestEndedContext(t *testing.T) {
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	p := pipe.New()
	_, err := p.Listen(ctx)
	require.ErrorIs(t, err, ended)
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	_, err = p.Dial(ctx)
	require.ErrorIs(t, err, ended)
	require.NoError(t, l.Close())
}

func TestFullBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipe.New()
		l, err := p.Listen(t.Context())
		require.NoError(t, err)
		var conns []transport.Conn
		for range 128 {
			c, err := p.Dial(t.Context())
			require.NoError(t, err)
			conns = append(conns, c)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = p.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		dialed := make(chan transport.Conn)
		go func() {
			c, err := p.Dial(t.Context())
			require.NoError(t, err)
			dialed <- c
		}()
		synctest.Wait()
		accepted, err := l.Accept(t.Context())
		require.NoError(t, err)
		late := <-dialed

		refused := make(chan error)
		go func() {
			_, err := p.Dial(t.Context())
			refused <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		require.ErrorIs(t, <-refused, syscall.ECONNREFUSED)

		for _, c := range append(conns[1:], late) { // they will not be accepted
			_, err := c.Receive(t.Context(), nil)
			require.ErrorIs(t, err, io.EOF)
			require.Error(t, c.Context().Err())
			require.NoError(t, c.Close())
		}
		require.NoError(t, conns[0].Context().Err()) // that one was accepted
		require.NoError(t, conns[0].Close())
		require.NoError(t, accepted.Close())
	})
}

func TestPeer(t *testing.T) {
	_, c := ends(t)
	require.Equal(t, "pipe", c.Peer().Transport)
	require.Equal(t, "self", c.Peer().String())
	_, ok := transport.CredAs[pipe.Self](c.Peer())
	require.True(t, ok)
}

// A write waits for room, and no longer.
func TestWriteWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, c := ends(t)
		n, err := raw.Write(make([]byte, 64<<10)) // the buffer
		require.NoError(t, err)
		require.Equal(t, 64<<10, n)

		began := time.Now()
		require.NoError(t, raw.SetWriteDeadline(began.Add(time.Hour)))
		n, err = raw.Write([]byte("{"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n)
		require.Equal(t, time.Hour, time.Since(began))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())

		require.NoError(t, raw.SetWriteDeadline(time.Time{}))
		written := make(chan error)
		go func() {
			_, err := raw.Write([]byte("{"))
			written <- err
		}()
		synctest.Wait()
		select {
		case err := <-written:
			t.Fatal("a write returns before a read", err)
		default:
		}
		_, err = c.Receive(t.Context(), nil) // a NUL, and all that came with it
		require.Error(t, err)
		require.NoError(t, <-written)
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, c := ends(t)
		began := time.Now()
		require.NoError(t, raw.SetReadDeadline(began.Add(time.Minute)))
		go func() { // moved while the read waits
			time.Sleep(time.Second)
			_ = raw.SetReadDeadline(began.Add(time.Hour))
		}()
		buf := make([]byte, 10)
		_, err := raw.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(began))

		go func() { // and into the past
			time.Sleep(time.Second)
			_ = raw.SetDeadline(time.Unix(1, 0))
		}()
		require.NoError(t, raw.SetDeadline(time.Time{}))
		_, err = raw.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, err = raw.Write(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)

		require.NoError(t, raw.SetDeadline(time.Time{}))
		require.NoError(t, c.Send(t.Context(), []byte("{}")))
		n, err := raw.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "{}\n", string(buf[:n]))
	})
}

func TestHalfCloseIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, c := ends(t)
		_, err := io.WriteString(raw, "{}")
		require.NoError(t, err)
		require.False(t, raw.PeerClosed())
		require.NoError(t, raw.CloseWrite())
		_, err = raw.Write([]byte("{}"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = c.Receive(t.Context(), nil)
		require.NoError(t, err)
		_, err = c.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, c.Context().Err())

		require.NoError(t, c.Send(t.Context(), []byte("[1]"), []byte("[2]")))
		require.NoError(t, c.Close())
		require.True(t, raw.PeerClosed())
		rest, err := io.ReadAll(raw)
		require.NoError(t, err)
		require.Equal(t, "[1]\n[2]\n", string(rest))
	})
}

func TestCloseWriteWakesAWaitingWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, _ := ends(t)
		written := make(chan error)
		go func() {
			_, err := raw.Write(make([]byte, 1<<20))
			written <- err
		}()
		synctest.Wait()
		require.NoError(t, raw.CloseWrite())
		require.ErrorIs(t, <-written, syscall.EPIPE)
	})
}

func TestClosedEnd(t *testing.T) {
	raw, c := ends(t)
	require.NoError(t, c.Send(t.Context(), []byte("{}"))) // unread
	require.NoError(t, raw.Close())
	_, err := raw.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = raw.Write(nil)
	require.ErrorIs(t, err, net.ErrClosed)
	for _, err := range []error{raw.Close(), raw.CloseWrite(), raw.SetDeadline(time.Now()), raw.SetReadDeadline(time.Time{})} {
		require.ErrorIs(t, err, net.ErrClosed)
	}
	require.ErrorIs(t, c.Send(t.Context(), []byte("{}")), syscall.EPIPE)
	_, err = c.Receive(t.Context(), nil)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "pipe", raw.LocalAddr().Network())
	require.Equal(t, "pipe", raw.RemoteAddr().String())
}

// Bytes cross in order in both directions at once, whatever the sizes of reads and writes.
func TestBytes(t *testing.T) {
	p := pipe.New()
	l, err := p.Listen(t.Context())
	require.NoError(t, err)
	a, err := p.DialBytes(t.Context())
	require.NoError(t, err)
	c, err := l.Accept(t.Context())
	require.NoError(t, err)
	go func() {
		var buf []byte
		for {
			var err error
			if buf, err = c.Receive(context.Background(), buf[:0]); err != nil {
				_ = c.Close()
				return
			}
			_ = c.Send(context.Background(), buf)
		}
	}()
	var want bytes.Buffer
	for i := range 2000 {
		want.WriteString(`["` + string(bytes.Repeat([]byte{byte('a' + i%26)}, i)) + "\"]\n")
	}
	go func() {
		for rest, n := want.Bytes(), 1; len(rest) > 0; n = n*3%100003 + 1 {
			n := min(n, len(rest))
			_, _ = a.Write(rest[:n])
			rest = rest[n:]
		}
		_ = a.CloseWrite()
	}()
	got, err := io.ReadAll(a)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.Bytes(), got))
	require.NoError(t, a.Close())
	require.NoError(t, l.Close())
}
