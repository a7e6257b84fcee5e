package mgr_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// Limits count from when they are set, for open conns too, also for one that waits for room.
func TestSetLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, newShip().commands()...)
		c := d.dial()
		for i := range 8 {
			c.say(fmt.Sprintf(`{"command":"park","id":%d}`, i))
		}
		synctest.Wait()
		require.Len(t, d.Sessions()[0].Running, 2)
		d.SetLimits(mgr.Limits{MaxInFlight: 6})
		synctest.Wait()
		require.Len(t, d.Sessions()[0].Running, 6)
		c.leave()
		synctest.Wait()
		d.SetLimits(mgr.Limits{MaxRate: 1})
		other := d.dial()
		defer other.leave()
		other.say(`{"command":"whoami","id":1}{"command":"whoami","id":2}`)
		require.Equal(t, 429, other.hearAll(2)[2.0].Result)
	})
}

// Who connects before a way in accepts waits, and is served then.
func TestListenThenAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		place := pipe.New()
		socket, err := d.Listen(t.Context(), place)
		require.NoError(t, err)
		other := &daemon{t: t, place: place}
		c := other.dial()
		c.say(`{"command":"whoami","id":1}`)
		c.quiet()
		socket.Serve()
		require.Zero(t, c.hear().Result)
		socket.SetMaxAccess(mgr.Read)
		c.say(`{"command":"whoami","id":2}`)
		require.Zero(t, c.hear().Result)
		c.leave()
		require.NoError(t, socket.Close())

		closed, err := d.Listen(t.Context(), pipe.New())
		require.NoError(t, err)
		require.NoError(t, closed.Close())
	})
}

// A ceiling that is lowered counts for conns that are open.
func TestSetMaxAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		place := &mask{Transport: pipe.New(), creds: []transport.Credential{someone("self")}}
		socket, err := d.Open(t.Context(), place)
		require.NoError(t, err)
		c := (&daemon{t: t, place: place.Transport}).dial()
		defer c.leave()
		for i, test := range []struct {
			most   mgr.Level
			result int
		}{{0, 0}, {mgr.Read, 403}, {mgr.Write, 0}, {mgr.Read, 403}, {0, 0}} {
			socket.SetMaxAccess(test.most)
			c.say(fmt.Sprintf(`{"command":"count","id":%d}`, i))
			require.Equal(t, test.result, c.hear().Result)
		}
	})
}
