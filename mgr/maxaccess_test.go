package mgr_test

import (
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A ceiling holds whoever asks, and for what they are told that there is.
func TestMaxAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		for _, test := range []struct {
			most          mgr.Level
			greet, count  int
			end           int
			listed, hides string
		}{
			{0, 0, 0, 500, "scuttle", "nothing"},
			{mgr.Read, 0, 403, 403, "greet", "count"},
			{mgr.Write, 0, 0, 403, "count", "scuttle"},
			{mgr.Admin, 0, 0, 500, "scuttle", "nothing"},
		} {
			door := d.as(mgr.ListenerConfig{Name: "door " + test.most.String(), MaxAccess: test.most}, someone("self"))
			require.Equal(t, test.greet, door.ask(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
			require.Equal(t, test.count, door.ask(`{"command":"count"}`).Result)
			require.Equal(t, test.end, door.ask(`{"command":"scuttle"}`).Result)
			require.Equal(t, 2, door.ask(`{"command":"sing"}`).Result)
			names := door.ask(`{"command":"list-commands"}`).Arguments
			require.Contains(t, names, test.listed)
			require.NotContains(t, names, test.hides)
		}
		door := d.as(mgr.ListenerConfig{Name: "ro", MaxAccess: mgr.Read}, someone("uid:0"))
		require.Equal(t, "'count' is not allowed through ro: it needs write access, and this listener allows at most read",
			door.ask(`{"command":"count"}`).Text)
	})
}

// What a command does for its caller has no more access than the listener of the caller allows.
func TestMaxAccessHoldsForPartsOfACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		d = start(t, nil, append(newShip().commands(), relay(func() *mgr.CommandMgr { return d.CommandMgr })...)...)
		door := d.as(mgr.ListenerConfig{MaxAccess: mgr.Read}, someone("self"))
		for _, relay := range []string{"relay", "relay-async"} {
			require.Equal(t, 403, door.ask(`{"command":"`+relay+`","arguments":{"command":"count"}}`).Result)
			require.Equal(t, 0, d.ask(`{"command":"`+relay+`","arguments":{"command":"count"}}`).Result)
		}
	})
}

func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		ops := d.as(mgr.ListenerConfig{Name: "ops", MaxAccess: mgr.Write}, someone("self"))
		require.Equal(t, []mgr.ListenerConfig{{Name: "ops", MaxAccess: mgr.Write}, {Name: "pipe"}}, d.Listeners())
		require.Equal(t, "ops", ops.ask(`{"command":"whoami"}`).Arguments.(map[string]any)["listener"])
		require.Equal(t, "pipe", d.ask(`{"command":"whoami"}`).Arguments.(map[string]any)["listener"])

		_, err := d.Open(t.Context(), &mgr.ListenerConfig{Name: "x"})
		require.EqualError(t, err, `the listener config "x" has no transport`)
		_, err = d.Open(t.Context(), &mgr.ListenerConfig{Transport: pipe.New(), MaxAccess: 4})
		require.EqualError(t, err, "there is no level of access 4; the levels are read, write, admin")
	})
}
