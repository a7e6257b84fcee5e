package mgr_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
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
			d := start(t, &mgr.Options{Authorizer: allowAll{}}, append(newTestCommands().commands(),
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
			l, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
			require.NoError(t, err)
			idle := dialTransport(t, tc, l.Addr(), env.Client)
			defer idle.close()
			idle.send(`{"command":"count","id":1}`)
			require.NotEmpty(t, idle.receiveLine())
			time.Sleep(50 * time.Millisecond) // UNIX and TCP conns are parked now; the result does not depend on it
			busy := dialTransport(t, tc, l.Addr(), env.Client)
			defer busy.close()
			busy.send(`{"command":"slow","id":1}`)
			endless := dialTransport(t, tc, l.Addr(), env.Client)
			defer endless.close()
			endless.send(`{"command":"endless","id":1}`)
			<-running
			<-running
			want := 3
			if tc.OneShot { // the conn of the first request is closed
				want = 2
			}
			require.Equal(t, want, l.Drain(time.Hour))
			idle.requireEOF()
			close(release)
			require.Contains(t, busy.receiveLine(), "done")
			busy.requireEOF()
			require.Eventually(t, func() bool { return len(d.Sessions()) == 1 }, testkit.Timeout, time.Millisecond)
			require.Equal(t, 1, l.Drain(time.Millisecond), "a shorter timeout counts, too")
			requireCloses(t, endless)
			require.Eventually(t, func() bool { return len(d.Sessions()) == 0 }, testkit.Timeout, time.Millisecond)
			require.Zero(t, d.call(`{"command":"whoami"}`).Result, "the other listener serves")
		})
	}
}

// The close frame of a WebSocket has code 1001 after the drain of its listener, and of the daemon.
func TestWebSocketOfADrainIsClosedWith1001(t *testing.T) {
	env := alltransports.New(t)
	d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
	for _, tc := range env.Cases() {
		if tc.Name != "ws" && tc.Name != "wss" {
			continue
		}
		l, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		require.NoError(t, err)
		other, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
		require.NoError(t, err)
		conn, err := tc.Dial(l.Addr(), env.Client).Dial(t.Context())
		require.NoError(t, err)
		last, err := tc.Dial(other.Addr(), env.Client).Dial(t.Context())
		require.NoError(t, err)
		require.NoError(t, last.Send(t.Context(), []byte(`{"command":"whoami"}`)))
		_, err = last.Receive(t.Context(), nil)
		require.NoError(t, err)
		_, err = last.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.ErrorContains(t, context.Cause(last.Context()), "(1000)", "without a drain")
		require.Eventually(t, func() bool { return len(d.Sessions()) == 1 }, testkit.Timeout, time.Millisecond)
		require.Equal(t, 1, l.Drain(time.Hour))
		_, err = conn.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		require.ErrorContains(t, context.Cause(conn.Context()), "the peer has closed (1001): this listener was removed and takes no more commands; connect to another one")
	}
}

// requireCloses waits until the daemon has closed the conn, and ignores frames before that.
func requireCloses(t *testing.T, c conversationClient) {
	t.Helper()
	var err error
	switch c := c.(type) {
	case *rawClient:
		require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
		_, err = io.Copy(io.Discard, c.in)
	case *messageClient:
		for err == nil {
			_, err = c.conn.Receive(c.ctx, nil)
		}
	}
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded), err)
}
