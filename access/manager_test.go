package access_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The manager calls Authorize for every command, also for its built-in ones and for unknown ones.
func TestManagerAsksPolicyForEachCommand(t *testing.T) {
	for _, test := range []struct {
		role                            string
		list, whoami, change, end, none wire.Code
	}{
		{"", 403, 403, 403, 403, 403},
		{"monitor", 0, 0, 403, 403, 2},
		{"operator", 0, 0, 0, 403, 2},
		{"admin", 0, 0, 0, 0, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := access.Options{NoOwner: true}
			if test.role != "" {
				o.Principals = []access.Principal{{Subject: "self", Role: test.role}}
			}
			m := mgr.New(&mgr.Options{Authorizer: policy(t, o), Logger: slog.New(slog.DiscardHandler)})
			nop := func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }
			require.NoError(t, m.Register(mgr.Func("change", "", mgr.Write, nop), mgr.Func("end", "", mgr.Admin, nop)))
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			listener := pipe.New()
			_, err := m.Open(ctx, listener)
			require.NoError(t, err)
			go func() { _ = m.Run(ctx) }()
			for command, code := range map[string]wire.Code{"list-commands": test.list, "whoami": test.whoami, "change": test.change, "end": test.end, "no-such": test.none} {
				reply, err := client.Do(ctx, listener, wire.Request{Command: command})
				require.NoError(t, err)
				require.Equal(t, code, reply.Code, "%s as %q: %s", command, test.role, reply.Text)
			}
			stop()
			<-m.Done()
		})
	}
}
