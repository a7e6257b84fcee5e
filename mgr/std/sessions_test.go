package std_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

func TestSessionsAreListedAndKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, m.Register(std.Sessions(m)...))
		require.NoError(t, m.Register(mgr.Async("wait", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			<-ctx.Done()
			return mgr.None{}, nil
		})))
		place := pipe.New()
		_, err := m.Open(t.Context(), &mgr.ListenerConfig{Transport: place, Name: "front"})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = m.Run(ctx) }()
		defer func() { stop(); <-m.Done() }()

		victim, err := place.Dial(t.Context())
		require.NoError(t, err)
		require.NoError(t, victim.Send(t.Context(), []byte(`{"command":"wait","id":1}`)))
		time.Sleep(time.Second)

		type session struct {
			Session, Principal, Transport, Listener string
			Conns, Commands                         int
			Running                                 []struct{ Command string }
			Yours                                   bool
		}
		list := func() []session {
			reply, err := client.Do(t.Context(), place, wire.Request{Command: "session-list"})
			require.NoError(t, err)
			var all []session
			arguments, _ := reply.Arguments.(wire.Value)
			require.NoError(t, json.Unmarshal(arguments, &all, json.MatchCaseInsensitiveNames(true)))
			return all
		}
		all := list()
		require.Len(t, all, 2)
		require.Equal(t, "wait", all[0].Running[0].Command)
		require.Equal(t, session{all[0].Session, "self", "pipe", "front", 1, 0, all[0].Running, false}, all[0])
		require.Equal(t, session{all[1].Session, "self", "pipe", "front", 1, 0, all[1].Running, true}, all[1])
		require.Equal(t, "session-list", all[1].Running[0].Command)

		kill := func(arguments string) wire.Reply {
			reply, err := client.Do(t.Context(), place, wire.Request{Command: "session-kill", Arguments: wire.Value(arguments)})
			require.NoError(t, err)
			return reply
		}
		require.Equal(t, wire.CodeError, kill(`{}`).Code)
		require.Equal(t, wire.CodeEmpty, kill(`{"session":"pipe-4711"}`).Code)
		require.Equal(t, wire.CodeSuccess, kill(`{"session":"`+all[0].Session+`"}`).Code)
		frame, err := victim.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.Contains(t, string(frame), `"code":"session-killed"`)
		_, err = victim.Receive(t.Context(), nil)
		require.ErrorIs(t, err, io.EOF)
		synctest.Wait()
		require.Len(t, list(), 1)

		conn, err := place.Dial(t.Context())
		require.NoError(t, err)
		own := conn.Peer().Session // both ends have the same
		require.NoError(t, conn.Send(t.Context(), []byte(`{"command":"session-kill","arguments":{"session":"`+own+`"}}`)))
		frame, err = conn.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.Contains(t, string(frame), "own-session")
	})
}
