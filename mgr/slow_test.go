package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// While a handler runs on the loop, everything else goes on: accepting, reading, refusals, timeouts and async commands. Kea
// does nothing else meanwhile.
func TestSlowHandlerDelaysOnlyHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			require.Equal(t, want, time.Since(began))
		}
		d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
		slow := d.dial()
		defer slow.close()
		slow.send(`{"command":"doze","arguments":{"seconds":60},"id":1}`)
		time.Sleep(time.Second)

		silent, partial, waits := d.dial(), d.dial(), d.dial()
		defer waits.close()
		synctest.Wait()
		opened, _ := d.seen.conns()
		require.Equal(t, 4, opened, "conns are accepted")
		partial.send(`{"comm`)
		waits.send(`{"command":"count","timeout":7,"id":1}{"command":"count","id":2}`)

		other := d.dial()
		defer other.close()
		for request, result := range map[string]int{
			`{"command":7,"id":1}`:                             1,
			`{"command":"forbidden","id":1}`:                   403,
			`{"command":"greet","id":1}`:                       1,
			`{"command":"cancel","arguments":{"id":8},"id":1}`: 3, // it runs off the loop
		} {
			other.send(request)
			require.Equal(t, result, other.receive().Result)
		}
		require.Equal(t, "invalid first character G", d.call("GET / HTTP/1.0\r\n").Text)
		at(time.Second)

		require.Equal(t, 408, waits.receive().Result)
		at(8 * time.Second)
		require.Equal(t, "Connection over control channel timed out", silent.receive().Text)
		require.Equal(t, "Connection over control channel timed out, discarded partial command of 6 bytes", partial.receive().Text)
		silent.requireEOF()
		partial.requireEOF()
		at(11 * time.Second)

		gone := d.dial()
		gone.send(`{"command":"count","id":1}`)
		gone.close()
		require.Equal(t, 0, slow.receive().Result)
		at(time.Minute)
		require.Equal(t, reply{ID: 2.0, Arguments: 1.0}, waits.receive())
	})
}
