package mgr_test

import (
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// MaxAccess holds for every peer, also for the list of commands.
func TestMaxAccessHoldsForEveryPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		for _, test := range []struct {
			most          mgr.Level
			greet, count  int
			end           int
			listed, hides string
		}{
			{0, 0, 0, 500, "forbidden", "nothing"},
			{mgr.Read, 0, 403, 403, "greet", "count"},
			{mgr.Write, 0, 0, 403, "count", "forbidden"},
			{mgr.Admin, 0, 0, 500, "forbidden", "nothing"},
		} {
			door := d.openAs(mgr.ListenerConfig{Name: "door " + test.most.String(), MaxAccess: test.most}, subject("self"))
			require.Equal(t, test.greet, door.call(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
			require.Equal(t, test.count, door.call(`{"command":"count"}`).Result)
			require.Equal(t, test.end, door.call(`{"command":"forbidden"}`).Result)
			require.Equal(t, 2, door.call(`{"command":"sing"}`).Result)
			names := door.call(`{"command":"list-commands"}`).Arguments
			require.Contains(t, names, test.listed)
			require.NotContains(t, names, test.hides)
		}
		door := d.openAs(mgr.ListenerConfig{Name: "ro", MaxAccess: mgr.Read}, subject("uid:0"))
		require.Equal(t, "'count' is not allowed through ro: it needs write access, and this listener allows at most read",
			door.call(`{"command":"count"}`).Text)
	})
}

// A command that a handler runs with Process has no more access than the listener of the caller allows.
func TestMaxAccessHoldsForProcessInHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		d = start(t, nil, append(newTestCommands().commands(), relay(func() *mgr.CommandMgr { return d.CommandMgr })...)...)
		door := d.openAs(mgr.ListenerConfig{MaxAccess: mgr.Read}, subject("self"))
		for _, relay := range []string{"relay", "relay-async"} {
			require.Equal(t, 403, door.call(`{"command":"`+relay+`","arguments":{"command":"count"}}`).Result)
			require.Equal(t, 0, d.call(`{"command":"`+relay+`","arguments":{"command":"count"}}`).Result)
		}
	})
}

func TestListenersAreSortedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		ops := d.openAs(mgr.ListenerConfig{Name: "ops", MaxAccess: mgr.Write}, subject("self"))
		require.Equal(t, []mgr.ListenerConfig{{Name: "ops", MaxAccess: mgr.Write}, {Name: "pipe"}}, d.Listeners())
		require.Equal(t, "ops", ops.call(`{"command":"whoami"}`).Arguments.(map[string]any)["listener"])
		require.Equal(t, "pipe", d.call(`{"command":"whoami"}`).Arguments.(map[string]any)["listener"])

		_, err := d.Open(t.Context(), &mgr.ListenerConfig{Name: "x"})
		require.EqualError(t, err, `the listener config "x" has no transport`)
		_, err = d.Open(t.Context(), &mgr.ListenerConfig{Transport: pipe.New(), MaxAccess: 4})
		require.EqualError(t, err, "there is no level of access 4; the levels are read, write, admin")
	})
}
