package transport_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
)

// inTime runs a test in virtual time with both ends of a new conn, one of them for bytes.
func inTime(t *testing.T, p *pipe.Transport, test func(t *testing.T, raw *pipe.End, c transport.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := p.Listen(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		raw, err := p.DialBytes(t.Context())
		require.NoError(t, err)
		defer func() { _ = raw.Close() }()
		c, err := l.Accept(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close()) }()
		test(t, raw, c)
	})
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
}

// trickle writes s at once and then again after each pause, until that fails.
func trickle(w io.Writer, s string, pause time.Duration) {
	for {
		if _, err := io.WriteString(w, s); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// wantTimeout sees that Receive takes exactly so long to find that so many bytes are lost, and that
// the conn can still send.
func wantTimeout(t *testing.T, c transport.Conn, raw *pipe.End, took time.Duration, lost int) {
	t.Helper()
	began := time.Now()
	for range 2 {
		_, err := c.Receive(t.Context(), nil)
		require.Equal(t, &transport.FrameError{Reason: transport.TimedOut, Discarded: lost}, err)
		require.Equal(t, took, time.Since(began))
	}
	require.NoError(t, c.Context().Err())
	require.NoError(t, c.Send(t.Context(), []byte("{}")))
	answer := make([]byte, 3)
	_, err := io.ReadFull(raw, answer)
	require.NoError(t, err)
	require.Equal(t, "{}\n", string(answer))
}

func TestIdle(t *testing.T) {
	for said, lost := range map[string]int{
		"":                                       0,
		" \n ":                                   0,
		"#":                                      0,
		"/":                                      0,
		"/* 0123456789 */ { \"command\": # xx\n": 14,
		`{ "command":`:                           12,
	} {
		t.Run(said, func(t *testing.T) {
			inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
				write(t, raw, said)
				wantTimeout(t, c, raw, 10*time.Second, lost)
			})
		})
	}
}

func TestIdleIsRestartedByEachRead(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		go func() {
			for _, s := range []string{" ", "{", `"a"`} {
				time.Sleep(9 * time.Second)
				_, _ = io.WriteString(raw, s)
			}
		}()
		wantTimeout(t, c, raw, 37*time.Second, 4)
	})
}

func TestFrameTimeoutEndsATrickle(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		go func() {
			write(t, raw, "  # a comment\n") // does not count
			time.Sleep(8 * time.Second)
			trickle(raw, "[", 9*time.Second)
		}()
		wantTimeout(t, c, raw, 8*time.Second+5*time.Minute, 34)
		_ = raw.Close()
		synctest.Wait()
		time.Sleep(9 * time.Second)
	})
}

func TestWhiteSpaceIsNoFrame(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		go func() {
			for range 100 {
				time.Sleep(9 * time.Second)
				_, _ = io.WriteString(raw, " ")
			}
			_, _ = io.WriteString(raw, "{}")
		}()
		frame, err := c.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, "{}", string(frame))
	})
}

func TestIdleEndsWithTheFirstFrame(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		for range 3 {
			write(t, raw, "{}\n")
			_, err := c.Receive(t.Context(), nil)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
			_, err = c.Receive(ctx, nil)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		write(t, raw, "[1,") // from now on only FrameTimeout counts
		go func() {
			time.Sleep(5*time.Minute - time.Nanosecond)
			_, _ = io.WriteString(raw, "2][")
		}()
		frame, err := c.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, "[1,2]", string(frame))
		wantTimeout(t, c, raw, 5*time.Minute, 1)
	})
}

func TestFrameTimeoutCountsAcrossCancelledReceives(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		write(t, raw, "{}[")
		_, err := c.Receive(t.Context(), nil)
		require.NoError(t, err)
		for range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err = c.Receive(ctx, nil)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		wantTimeout(t, c, raw, time.Minute, 1)
	})
}

func TestLimitsOfTime(t *testing.T) {
	t.Run("given", func(t *testing.T) {
		p := &pipe.Transport{Idle: time.Hour, FrameTimeout: time.Minute}
		inTime(t, p, func(t *testing.T, raw *pipe.End, c transport.Conn) {
			write(t, raw, "{")
			wantTimeout(t, c, raw, time.Minute, 1)
		})
	})
	t.Run("none", func(t *testing.T) {
		p := &pipe.Transport{Idle: -1, FrameTimeout: -1}
		inTime(t, p, func(t *testing.T, raw *pipe.End, c transport.Conn) {
			write(t, raw, "{")
			go func() {
				time.Sleep(10000 * time.Hour)
				_, _ = io.WriteString(raw, "}")
			}()
			_, err := c.Receive(t.Context(), nil)
			require.NoError(t, err)
		})
	})
}

// A Send that waits for its peer is not ended by time, only by its context.
func TestSendWaits(t *testing.T) {
	inTime(t, pipe.New(), func(t *testing.T, raw *pipe.End, c transport.Conn) {
		ended := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 24*time.Hour, ended)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, c.Send(ctx, make([]byte, 1<<20)), ended)
		require.Equal(t, 24*time.Hour, time.Since(began))
		require.ErrorIs(t, context.Cause(c.Context()), ended) // half a frame has gone out
		require.ErrorIs(t, c.Send(t.Context(), []byte("{}")), ended)
	})
}
