package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// TestReadWhileTheLoopIsHeld: who reads a conn also waits for the loop and sends what it answers; but a
// loop that takes its time does not keep a cancel from being heard.
func TestReadWhileTheLoopIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"park","id":1}{"command":"hold","id":2}{"command":"count","id":3}`)
		synctest.Wait()
		began := time.Now()
		c.send(`{"command":"release","id":4}`) // beside the loop
		replies := c.receiveAll(3)
		require.Equal(t, mgr.ReadsOn, time.Since(began))
		require.Contains(t, replies, 4.0)
		require.Contains(t, replies, 3.0)
		c.send(`{"command":"count","id":5}`)
		require.Zero(t, c.receive().Result)
		require.Equal(t, mgr.ReadsOn, time.Since(began), "who was relieved once does it again")
		c.send(`{"command":"cancel","arguments":{"id":1},"id":6}`)
		require.Len(t, c.receiveAll(2), 2)
		require.NoError(t, d.end())
	})
}

// TestReadWhileThePeerDoesNot: replies that their peer does not take keep nobody from hearing it.
func TestReadWhileThePeerDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob)...)
		c := d.dial()
		defer c.close()
		for round := range 3 {
			c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":1}`)
			time.Sleep(mgr.ReadsOn)
			c.send(`{"command":"count","id":2}`)
			synctest.Wait()
			require.Equal(t, round+1, s.count)
			require.Len(t, c.receiveAll(2), 2)
			synctest.Wait()
			require.Zero(t, d.Count().Unsent)
		}
		require.NoError(t, d.end())
	})
}
