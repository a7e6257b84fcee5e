package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// Where the owner's own conns fill a limit, its oldest idle conn is closed for a new one. A conn with a command in flight
// stays, and so do the conns of others.
func TestOldestIdleConnOfOwnerGivesWay(t *testing.T) {
	for name, limits := range map[string]mgr.Limits{
		"conns of a peer": {MaxConns: 100, MaxConnsPerPeer: 3}, "conns of a listener": {MaxConns: 5, MaxConnsPerPeer: 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := start(t, &mgr.Options{Authorizer: captain{}, Limits: limits}, newShip().commands()...)
				who := &mask{}
				door := d.masked(mgr.ListenerConfig{}, who)
				dial := func(name someone, request string) *talker {
					who.creds = append(who.creds[:0:0], name)
					time.Sleep(time.Millisecond) // the age of conns decides
					c := door.dial()
					c.say(request)
					synctest.Wait() // the manager asks for the peer's name before it is another one
					return c
				}
				const greet = `{"command":"greet","arguments":{"name":"Ann"},"id":1}`
				ann, bob := dial("user:ann", greet), dial("user:bob", greet)
				require.Zero(t, ann.hear().Result)
				require.Zero(t, bob.hear().Result)
				busy := dial("uid:0", `{"command":"park","id":1}`)
				var idle []*talker
				for range 2 {
					c := dial("uid:0", greet)
					require.Zero(t, c.hear().Result)
					idle = append(idle, c)
				}
				synctest.Wait()
				for i := range 20 {
					c := dial("uid:0", greet)
					require.Zero(t, c.hear().Result, i)
					idle[0].eof() // the oldest
					idle[0].leave()
					idle = append(idle[1:], c)
					synctest.Wait()
				}
				for _, c := range []*talker{ann, bob, idle[0], idle[1]} {
					c.say(greet)
					require.Zero(t, c.hear().Result)
				}
				for _, c := range idle {
					c.say(`{"command":"park","id":2}`)
				}
				synctest.Wait()
				require.Equal(t, 503, door.dial().hear().Result, "none is idle") // a request could come after the conn was closed
				busy.say(`{"command":"cancel","arguments":{"id":1},"id":3}`)
				busy.hear()
				busy.hear()
				for _, c := range append(idle, ann, bob, busy) {
					c.leave()
				}
			})
		})
	}
}

// An idle conn of another user never gives way, to the owner neither.
func TestIdleConnOfUserDoesNotGiveWayToSameUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: captain{}, Limits: mgr.Limits{MaxConnsPerPeer: 2}}, newShip().commands()...)
		ann := d.as(mgr.ListenerConfig{}, someone("user:ann"))
		first, second := ann.dial(), ann.dial()
		synctest.Wait()
		require.Equal(t, 503, ann.dial().hear().Result)
		for _, c := range []*talker{first, second} {
			c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			require.Zero(t, c.hear().Result)
			c.leave()
		}
	})
}

// A conn that has one of the last descriptors is refused, unless its peer is the owner. Of the owner's conns there, the
// oldest idle one gives way when its share is full.
func TestConnInReserveIsForTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: captain{}}, newShip().commands()...)
		who := &mask{}
		door := d.masked(mgr.ListenerConfig{}, who)
		dial := func(name someone) *talker {
			who.creds = append(who.creds[:0:0], name)
			time.Sleep(time.Millisecond)
			c := door.dial()
			c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			synctest.Wait() // the manager asks for the peer's name before it is another one
			return c
		}
		ann := dial("user:ann")
		require.Zero(t, ann.hear().Result)
		low := dial("uid:0")
		require.Zero(t, low.hear().Result)
		who.reserved.Store(true)
		who.creds = []transport.Credential{someone("user:ann")}
		require.Contains(t, door.dial().hear().Text, "few descriptors") // a request could come after the conn was closed
		var idle []*talker
		for range descriptors.OwnerShare() {
			c := dial("uid:0")
			require.Zero(t, c.hear().Result)
			idle = append(idle, c)
		}
		for range 3 {
			synctest.Wait()
			c := dial("uid:0")
			require.Zero(t, c.hear().Result)
			idle[0].eof()
			idle[0].leave()
			idle = append(idle[1:], c)
		}
		for _, c := range append(idle, ann, low) {
			c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":2}`)
			require.Zero(t, c.hear().Result)
			c.leave()
		}
	})
}
