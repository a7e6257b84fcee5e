package security_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// On every transport, session-list has each session, and session-kill closes it.
func TestSessionsAreListedAndClosedOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			who := callers(t, env, tc)[0]
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}})
			cancelled := make(chan struct{}, 1)
			require.NoError(t, m.Register(std.Sessions(m)...))
			require.NoError(t, m.Register(mgr.Async("wait", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
				<-ctx.Done()
				cancelled <- struct{}{}
				return mgr.None{}, nil
			})))
			stop := testdaemon.Serve(t, m)
			socket, err := m.Open(t.Context(), &mgr.ListenerConfig{Transport: tc.Listen(t, alltransports.Limits{}), Name: "front"})
			require.NoError(t, err)

			conn, err := tc.Dial(socket.Addr(), who.Identity).Dial(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.Send(t.Context(), []byte(`{"command":"wait","id":1}`)))
			var session mgr.Session
			testkit.Eventually(t, func() bool {
				for _, s := range m.Sessions() {
					if len(s.Running) == 1 && s.Running[0].Command == "wait" {
						session = s
					}
				}
				return session.ID != ""
			}, "it is not listed")
			require.Equal(t, tc.Name, session.Peer.Transport)
			require.Equal(t, "front", session.Listener)
			require.Contains(t, session.Peer.String(), who.subject)
			require.WithinDuration(t, time.Now(), session.Since, testkit.Timeout)

			arguments, err := client.Arguments(map[string]string{"session": session.ID})
			require.NoError(t, err)
			reply, err := client.Do(t.Context(), tc.Dial(socket.Addr(), who.Identity), wire.Request{Command: "session-kill", Arguments: arguments})
			require.NoError(t, err)
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			<-cancelled
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
			defer cancel()
			for err == nil { // the reply of the cancelled command may come first
				_, err = conn.Receive(ctx, nil)
			}
			require.False(t, errors.Is(err, context.DeadlineExceeded), "the conn is still open")
			testkit.Eventually(t, func() bool { return len(m.Sessions()) == 0 }, "it is still listed")
			require.NoError(t, stop())
		})
	}
}
