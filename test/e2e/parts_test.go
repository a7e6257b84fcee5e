package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A long reply that was encoded before is sent without a copy, on the transports that can. That reply and the others arrive
// whole and in order, also at a client that reads late.
func TestLongRepliesArriveWholeOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	documents := map[string]wire.Raw{}
	for _, n := range []int{10, 16 << 10, 40 << 10, 300 << 10} {
		raw, err := wire.Encode(strings.Repeat(fmt.Sprintf("%07d ", n), n/8))
		require.NoError(t, err)
		documents[fmt.Sprintf("long%d", n)] = raw
	}
	names := []string{"long10", "long16384", "long10", "long40960", "long307200", "long10", "long10", "long40960"}
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: testdaemon.AnyCredential{}})
			for name, raw := range documents {
				require.NoError(t, m.Register(mgr.Func(name, "Return a document.", mgr.Read, func(context.Context, mgr.None) (wire.Raw, error) { return raw, nil })))
			}
			stop := testdaemon.Serve(t, m)
			defer stop()
			dialer := tc.Dial(testdaemon.Open(t, m, tc.Listen(t, alltransports.Limits{})), env.Client)
			if tc.OneShot {
				for _, name := range names {
					reply, err := client.Do(t.Context(), dialer, wire.Request{Command: name})
					require.NoError(t, err)
					require.Equal(t, documents[name].String(), string(reply.Arguments.(wire.Value)))
				}
				return
			}
			c, err := dialer.Dial(t.Context())
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			for round := range 3 {
				var frames [][]byte
				for id, name := range names {
					frames = append(frames, fmt.Appendf(nil, `{"command":%q,"id":%d}`, name, id))
				}
				require.NoError(t, c.Send(t.Context(), frames...))
				if round == 1 {
					time.Sleep(100 * time.Millisecond) // the buffers are full after that
				}
				for id, name := range names {
					frame, err := c.Receive(t.Context(), nil)
					require.NoError(t, err)
					reply, err := wire.DecodeReply(frame)
					require.NoError(t, err)
					require.Equal(t, wire.IntID(int64(id)), reply.ID)
					require.Equal(t, documents[name].String(), string(reply.Arguments.(wire.Value)))
				}
			}
		})
	}
}
