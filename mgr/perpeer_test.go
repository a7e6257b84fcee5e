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
func TestLastPlaceOfListenerIsKeptForOwner(t *testing.T) {
	for _, owner := range []string{"self", "uid:0", "uid:" + strconv.Itoa(os.Geteuid())} {
		synctest.Test(t, func(t *testing.T) {
			d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxConns: 4}}, newTestCommands().commands()...)
			tr := &credTransport{}
			l := d.openWith(mgr.ListenerConfig{}, tr)
			dial := func(name subject) *rawClient {
				tr.creds = append(tr.creds[:0:0], name)
				return l.dial()
			}
			served := func(name subject) *rawClient {
				c := dial(name)
				c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
				require.Zero(t, c.receive().Result)
				return c
			}
			refused := func(name subject) { require.Equal(t, 503, dial(name).receive().Result) }
			for range 3 {
				served("user:ann")
			}
			refused("user:bob")
			admin := served(subject(owner))
			admin.send(`{"command":"park","id":2}`)
			synctest.Wait()
			refused(subject(owner))
			admin.close()
			synctest.Wait()
			refused("user:ann")
		})
	}
}

// The calls in flight on all conns of one peer are limited together. Other peers are not affected.
func TestCallsBeyondMaxInFlightPerPeerGet429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxInFlightPerPeer: 3}}, newTestCommands().commands()...)
		ann, bob := d.openAs(mgr.ListenerConfig{}, subject("user:ann")), d.openAs(mgr.ListenerConfig{}, subject("user:bob"))
		for range 2 { // finished calls no longer count
			var conns []*rawClient
			for range 3 {
				c := ann.dial()
				c.send(`{"command":"park","id":1}`)
				conns = append(conns, c)
			}
			synctest.Wait()
			c := ann.dial()
			for i := range 2 {
				c.send(fmt.Sprintf(`{"command":"greet","arguments":{"name":"Ann"},"id":%d}`, i))
				require.Equal(t, reply{ID: float64(i), Result: 429, Text: "user:ann has 3 commands in flight, as many as one peer may; wait for replies", Error: details("too-many")}, c.receive())
			}
			require.Zero(t, bob.call(`{"command":"greet","arguments":{"name":"Bob"}}`).Result)
			conns[0].send(`{"command":"cancel","arguments":{"id":1},"id":2}`) // it counts like other calls
			require.Equal(t, 429, conns[0].receive().Result)
			for _, c := range conns {
				c.close()
			}
			synctest.Wait()
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":9}`)
			require.Zero(t, c.receive().Result)
			c.close()
		}
	})
}
