package mgr_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// The peer has three conns and two commands in flight. The error names each limit that would lock it out.
func TestCheckLimitsNamesTheLimitThatLeavesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := prepare(t, nil, newTestCommands().commands()...)
		tr := pipe.New()
		l, err := d.Open(t.Context(), tr)
		require.NoError(t, err)
		other, err := d.Open(t.Context(), pipe.New())
		require.NoError(t, err)
		checks := map[string]struct {
			next mgr.Limits
			at   *mgr.Listener
			want string
		}{
			"enough":          {mgr.Limits{MaxConns: 3, MaxConnsPerPeer: 3, MaxInFlightPerPeer: 3, MaxBuffered: 1 << 10}, l, ""},
			"defaults":        {mgr.Limits{}, l, ""},
			"conns":           {mgr.Limits{MaxConns: 2}, l, "max-conns: the listener has 2 conns, and self could not open one more"},
			"another's conns": {mgr.Limits{MaxConns: 2}, other, ""},
			"conns of a peer": {mgr.Limits{MaxConnsPerPeer: 2}, l, "max-conns-per-peer: self has 3 conns open, and the limit would be 2"},
			"calls":           {mgr.Limits{MaxInFlightPerPeer: 2}, l, "max-in-flight-per-peer: self has 3 commands in flight, and the limit would be 2"},
			"bytes":           {mgr.Limits{MaxBuffered: 64}, l, "max-buffered: the request that makes this change has 53 bytes, and one peer may hold 16 of 64"},
		}
		require.NoError(t, d.Register(mgr.Async("check", "", mgr.Read, func(ctx context.Context, in struct {
			Case string `json:"case"`
		}) (string, error) {
			call, ok := mgr.CallOf(ctx)
			require.True(t, ok)
			require.True(t, call.CameBy(l))
			require.False(t, call.CameBy(other))
			require.False(t, call.CameBy(nil))
			c := checks[in.Case]
			if err := d.CheckLimits(call, c.next, c.at); err != nil {
				return err.Error(), nil
			}
			return "", nil
		})))
		run(t, d)
		for range 2 {
			end, err := tr.DialBytes(t.Context())
			require.NoError(t, err)
			c := newRawClient(t, end)
			defer c.close()
			c.send(`{"command":"park","id":1}`)
		}
		end, err := tr.DialBytes(t.Context())
		require.NoError(t, err)
		c := newRawClient(t, end)
		defer c.close()
		synctest.Wait()
		for name, check := range checks {
			c.send(`{"command":"check","id":1,"arguments":{"case":"` + name + `"}}`)
			r := c.receive()
			require.Zero(t, r.Result, r.Text)
			if name == "bytes" {
				require.Contains(t, r.Arguments, "max-buffered: the request that makes this change has ")
				continue
			}
			require.Equal(t, check.want, r.Arguments, name)
		}
	})
}
