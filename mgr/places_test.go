package mgr_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// The last place of a listener is kept for the owner.
func TestAPlaceIsKeptForTheOwner(t *testing.T) {
	for _, owner := range []string{"self", "uid:0", "uid:" + strconv.Itoa(os.Geteuid())} {
		synctest.Test(t, func(t *testing.T) {
			d := start(t, &mgr.Options{Authorizer: captain{}, Limits: mgr.Limits{MaxConns: 4}}, newShip().commands()...)
			who := &mask{}
			door := d.masked(mgr.ListenerConfig{}, who)
			come := func(name someone) *talker {
				who.creds = append(who.creds[:0:0], name)
				return door.dial()
			}
			welcome := func(name someone) *talker {
				c := come(name)
				c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
				require.Zero(t, c.hear().Result)
				return c
			}
			refused := func(name someone) { require.Equal(t, 503, come(name).hear().Result) }
			for range 3 {
				welcome("user:ann")
			}
			refused("user:bob")
			admin := welcome(someone(owner))
			admin.say(`{"command":"park","id":2}`)
			synctest.Wait()
			refused(someone(owner))
			admin.leave()
			synctest.Wait()
			refused("user:ann")
		})
	}
}

// What all conns of one peer have in flight together is bounded; others do not notice.
func TestMaxInFlightPerPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: captain{}, Limits: mgr.Limits{MaxInFlightPerPeer: 3}}, newShip().commands()...)
		ann, bob := d.as(mgr.ListenerConfig{}, someone("user:ann")), d.as(mgr.ListenerConfig{}, someone("user:bob"))
		for range 2 { // what is finished makes room
			var conns []*talker
			for range 3 {
				c := ann.dial()
				c.say(`{"command":"park","id":1}`)
				conns = append(conns, c)
			}
			synctest.Wait()
			c := ann.dial()
			for i := range 2 {
				c.say(fmt.Sprintf(`{"command":"greet","arguments":{"name":"Ann"},"id":%d}`, i))
				require.Equal(t, reply{ID: float64(i), Result: 429, Text: "user:ann has 3 commands in flight, as many as one peer may; wait for replies", Error: details("too-many")}, c.hear())
			}
			require.Zero(t, bob.ask(`{"command":"greet","arguments":{"name":"Bob"}}`).Result)
			conns[0].say(`{"command":"cancel","arguments":{"id":1},"id":2}`) // it needs a place as others do
			require.Equal(t, 429, conns[0].hear().Result)
			for _, c := range conns {
				c.leave()
			}
			synctest.Wait()
			c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":9}`)
			require.Zero(t, c.hear().Result)
			c.leave()
		}
	})
}
