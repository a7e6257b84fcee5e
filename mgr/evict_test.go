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

// When the owner's own conns reach a limit, the oldest idle one is closed for a new one. A conn with a command in flight, and
// the conns of other peers, stay open.
func TestOldestIdleConnOfOwnerIsClosedForNewOne(t *testing.T) {
	for name, limits := range map[string]mgr.Limits{
		"conns of a peer": {MaxConns: 100, MaxConnsPerPeer: 3}, "conns of a listener": {MaxConns: 5, MaxConnsPerPeer: 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: limits}, newTestCommands().commands()...)
				tr := &credTransport{}
				l := d.openWith(mgr.ListenerConfig{}, tr)
				dial := func(name subject, request string) *rawClient {
					tr.creds = append(tr.creds[:0:0], name)
					time.Sleep(time.Millisecond) // the conns differ in age
					c := l.dial()
					c.send(request)
					synctest.Wait() // until the manager has read the credentials, which the next dial changes
					return c
				}
				const greet = `{"command":"greet","arguments":{"name":"Ann"},"id":1}`
				ann, bob := dial("user:ann", greet), dial("user:bob", greet)
				require.Zero(t, ann.receive().Result)
				require.Zero(t, bob.receive().Result)
				busy := dial("uid:0", `{"command":"park","id":1}`)
				var idle []*rawClient
				for range 2 {
					c := dial("uid:0", greet)
					require.Zero(t, c.receive().Result)
					idle = append(idle, c)
				}
				synctest.Wait()
				for i := range 20 {
					c := dial("uid:0", greet)
					require.Zero(t, c.receive().Result, i)
					idle[0].requireEOF() // the oldest
					idle[0].close()
					idle = append(idle[1:], c)
					synctest.Wait()
				}
				for _, c := range []*rawClient{ann, bob, idle[0], idle[1]} {
					c.send(greet)
					require.Zero(t, c.receive().Result)
				}
				for _, c := range idle {
					c.send(`{"command":"park","id":2}`)
				}
				synctest.Wait()
				require.Equal(t, 503, l.dial().receive().Result, "none is idle") // a request could come after the conn was closed
				busy.send(`{"command":"cancel","arguments":{"id":1},"id":3}`)
				busy.receive()
				busy.receive()
				for _, c := range append(idle, ann, bob, busy) {
					c.close()
				}
			})
		})
	}
}

// An idle conn of a user is not closed, neither for another conn of the user nor for the owner.
func TestIdleConnOfUserIsNotClosedForNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxConnsPerPeer: 2}}, newTestCommands().commands()...)
		ann := d.openAs(mgr.ListenerConfig{}, subject("user:ann"))
		first, second := ann.dial(), ann.dial()
		synctest.Wait()
		require.Equal(t, 503, ann.dial().receive().Result)
		for _, c := range []*rawClient{first, second} {
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			require.Zero(t, c.receive().Result)
			c.close()
		}
	})
}

// A conn that has one of the last descriptors is refused, unless its peer is the owner. When the owner's share of these
// descriptors is used, the owner's oldest idle conn is closed.
func TestConnInReserveIsForTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
		tr := &credTransport{}
		l := d.openWith(mgr.ListenerConfig{}, tr)
		dial := func(name subject) *rawClient {
			tr.creds = append(tr.creds[:0:0], name)
			time.Sleep(time.Millisecond)
			c := l.dial()
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			synctest.Wait() // until the manager has read the credentials, which the next dial changes
			return c
		}
		ann := dial("user:ann")
		require.Zero(t, ann.receive().Result)
		low := dial("uid:0")
		require.Zero(t, low.receive().Result)
		tr.reserved.Store(true)
		tr.creds = []transport.Credential{subject("user:ann")}
		require.Contains(t, l.dial().receive().Text, "few descriptors") // a request could come after the conn was closed
		var idle []*rawClient
		for range descriptors.OwnerShare() {
			c := dial("uid:0")
			require.Zero(t, c.receive().Result)
			idle = append(idle, c)
		}
		for range 3 {
			synctest.Wait()
			c := dial("uid:0")
			require.Zero(t, c.receive().Result)
			idle[0].requireEOF()
			idle[0].close()
			idle = append(idle[1:], c)
		}
		for _, c := range append(idle, ann, low) {
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":2}`)
			require.Zero(t, c.receive().Result)
			c.close()
		}
	})
}
