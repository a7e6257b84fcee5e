package mgr_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// On each transport, the drain of a listener closes idle conns, answers the command in flight, and after the timeout
// closes the conn whose command does not end.
func TestListenerDrainOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			release, running := make(chan struct{}), make(chan struct{}, 2)
			d := start(t, &mgr.Options{Authorizer: captain{}}, append(newShip().commands(),
				mgr.Async("slow", "Wait for release.", mgr.Write, func(context.Context, mgr.None) (string, error) {
					running <- struct{}{}
					<-release
					return "done", nil
				}),
				mgr.Async("endless", "Wait until cancelled.", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
					running <- struct{}{}
					<-ctx.Done()
					return mgr.None{}, context.Cause(ctx)
				}))...)
			socket, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
			require.NoError(t, err)
			idle := speak(t, tc, socket.Addr(), env.Client)
			defer idle.leave()
			idle.say(`{"command":"count","id":1}`)
			require.NotEmpty(t, idle.line())
			time.Sleep(50 * time.Millisecond) // UNIX and TCP conns are parked now; the result is the same where they are not
			busy := speak(t, tc, socket.Addr(), env.Client)
			defer busy.leave()
			busy.say(`{"command":"slow","id":1}`)
			endless := speak(t, tc, socket.Addr(), env.Client)
			defer endless.leave()
			endless.say(`{"command":"endless","id":1}`)
			<-running
			<-running
			want := 3
			if tc.OneShot { // the conn of the first request is closed
				want = 2
			}
			require.Equal(t, want, socket.Drain(time.Hour))
			idle.eof()
			close(release)
			require.Contains(t, busy.line(), "done")
			busy.eof()
			require.Eventually(t, func() bool { return len(d.Sessions()) == 1 }, patience, time.Millisecond)
			require.Equal(t, 1, socket.Drain(time.Millisecond), "a shorter timeout counts, too")
			requireCloses(t, endless)
			require.Eventually(t, func() bool { return len(d.Sessions()) == 0 }, patience, time.Millisecond)
			require.Zero(t, d.ask(`{"command":"whoami"}`).Result, "the other listener serves")
		})
	}
}

// The close frame of a WebSocket says that the daemon goes away: at the drain of a listener, and at that of the daemon.
func TestWebSocketOfADrainIsClosedWith1001(t *testing.T) {
	env := alltransports.New(t)
	d := start(t, &mgr.Options{Authorizer: captain{}}, newShip().commands()...)
	for _, tc := range env.Cases() {
		if tc.Name != "ws" && tc.Name != "wss" {
			continue
		}
		socket, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		require.NoError(t, err)
		other, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		require.NoError(t, err)
		conn, err := tc.Dial(socket.Addr(), env.Client).Dial(t.Context())
		require.NoError(t, err)
		last, err := tc.Dial(other.Addr(), env.Client).Dial(t.Context())
		require.NoError(t, err)
		require.NoError(t, last.Send(t.Context(), []byte(`{"command":"whoami"}`)))
		_, err = last.Receive(t.Context(), nil)
		require.NoError(t, err)
		_, err = last.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.ErrorContains(t, context.Cause(last.Context()), "(1000)", "without a drain")
		require.Eventually(t, func() bool { return len(d.Sessions()) == 1 }, patience, time.Millisecond)
		require.Equal(t, 1, socket.Drain(time.Hour))
		_, err = conn.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.ErrorContains(t, context.Cause(conn.Context()), "the peer has closed (1001): this listener was removed and takes no more commands; connect to another one")
	}
}

// requireCloses waits until the daemon has closed the conn, whatever it sends before that.
func requireCloses(t *testing.T, c speaker) {
	t.Helper()
	var err error
	switch c := c.(type) {
	case *talker:
		require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(patience)))
		_, err = io.Copy(io.Discard, c.in)
	case *messenger:
		for err == nil {
			_, err = c.conn.Receive(c.ctx, nil)
		}
	}
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded), err)
}
