package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// TestSlowHandlerDelaysOnlyHandlers is what Kea cannot do: while one of its handlers runs nothing
// else happens at all.
func TestSlowHandlerDelaysOnlyHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			require.Equal(t, want, time.Since(began))
		}
		d := start(t, &mgr.Options{Authorizer: captain{}}, newShip().commands()...)
		slow := d.dial()
		defer slow.leave()
		slow.say(`{"command":"doze","arguments":{"seconds":60},"id":1}`)
		time.Sleep(time.Second)

		silent, partial, waits := d.dial(), d.dial(), d.dial()
		defer waits.leave()
		synctest.Wait()
		opened, _ := d.seen.conns()
		require.Equal(t, 4, opened, "conns are accepted")
		partial.say(`{"comm`)
		waits.say(`{"command":"count","timeout":7,"id":1}{"command":"count","id":2}`)

		other := d.dial()
		defer other.leave()
		for request, result := range map[string]int{
			`{"command":7,"id":1}`:                             1,
			`{"command":"scuttle","id":1}`:                     403,
			`{"command":"greet","id":1}`:                       1,
			`{"command":"cancel","arguments":{"id":8},"id":1}`: 3, // it runs beside the loop
		} {
			other.say(request)
			require.Equal(t, result, other.hear().Result)
		}
		require.Equal(t, "invalid first character G", d.ask("GET / HTTP/1.0\r\n").Text)
		at(time.Second)

		require.Equal(t, 408, waits.hear().Result)
		at(8 * time.Second)
		require.Equal(t, "Connection over control channel timed out", silent.hear().Text)
		require.Equal(t, "Connection over control channel timed out, discarded partial command of 6 bytes", partial.hear().Text)
		silent.eof()
		partial.eof()
		at(11 * time.Second)

		gone := d.dial()
		gone.say(`{"command":"count","id":1}`)
		gone.leave()
		require.Equal(t, 0, slow.hear().Result)
		at(time.Minute)
		require.Equal(t, reply{ID: 2.0, Arguments: 1.0}, waits.hear())
	})
}
