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

// New limits apply at once, also to open conns, and to a conn that waits for its window.
func TestSetLimitsAppliesToOpenConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 2}}, newTestCommands().commands()...)
		c := d.dial()
		for i := range 8 {
			c.send(fmt.Sprintf(`{"command":"park","id":%d}`, i))
		}
		synctest.Wait()
		require.Len(t, d.Sessions()[0].Running, 2)
		d.SetLimits(mgr.Limits{MaxInFlight: 6})
		synctest.Wait()
		require.Len(t, d.Sessions()[0].Running, 6)
		c.close()
		synctest.Wait()
		d.SetLimits(mgr.Limits{MaxRate: 1})
		other := d.dial()
		defer other.close()
		other.send(`{"command":"whoami","id":1}{"command":"whoami","id":2}`)
		require.Equal(t, 429, other.receiveAll(2)[2.0].Result)
	})
}

// A client that connects before Serve waits, and is then served.
func TestListenerAcceptsConnsAfterServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		tr := pipe.New()
		l, err := d.Listen(t.Context(), tr)
		require.NoError(t, err)
		other := &daemon{t: t, tr: tr}
		c := other.dial()
		c.send(`{"command":"whoami","id":1}`)
		c.requireSilence()
		l.Serve()
		require.Zero(t, c.receive().Result)
		l.SetMaxAccess(mgr.Read)
		c.send(`{"command":"whoami","id":2}`)
		require.Zero(t, c.receive().Result)
		c.close()
		require.NoError(t, l.Close())

		closed, err := d.Listen(t.Context(), pipe.New())
		require.NoError(t, err)
		require.NoError(t, closed.Close())
	})
}

// A new MaxAccess applies to open conns.
func TestSetMaxAccessAppliesToOpenConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		tr := &credTransport{Transport: pipe.New(), creds: []transport.Credential{subject("self")}}
		l, err := d.Open(t.Context(), tr)
		require.NoError(t, err)
		c := (&daemon{t: t, tr: tr.Transport}).dial()
		defer c.close()
		for i, test := range []struct {
			most   mgr.Level
			result int
		}{{0, 0}, {mgr.Read, 403}, {mgr.Write, 0}, {mgr.Read, 403}, {0, 0}} {
			l.SetMaxAccess(test.most)
			c.send(fmt.Sprintf(`{"command":"count","id":%d}`, i))
			require.Equal(t, test.result, c.receive().Result)
		}
	})
}
