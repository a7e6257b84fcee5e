package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// The reader waits for the loop and writes the replies. A loop that takes longer than maxReplyWait does not delay a cancel:
// the reader reads on.
func TestReaderReadsOnWhenTheLoopIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"park","id":1}{"command":"hold","id":2}{"command":"count","id":3}`)
		synctest.Wait()
		began := time.Now()
		c.send(`{"command":"release","id":4}`) // off the loop
		replies := c.receiveAll(3)
		require.Equal(t, mgr.MaxReplyWait, time.Since(began))
		require.Contains(t, replies, 4.0)
		require.Contains(t, replies, 3.0)
		c.send(`{"command":"count","id":5}`)
		require.Zero(t, c.receive().Result)
		require.Equal(t, mgr.MaxReplyWait, time.Since(began), "a later batch is answered by the reader again")
		c.send(`{"command":"cancel","arguments":{"id":1},"id":6}`)
		require.Len(t, c.receiveAll(2), 2)
		require.NoError(t, d.end())
	})
}

// Replies that a peer does not take do not stop the daemon from reading its next request.
func TestReaderReadsOnWhenThePeerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), blob)...)
		c := d.dial()
		defer c.close()
		for round := range 3 {
			c.send(`{"command":"blob","arguments":{"bytes":1000000},"id":1}`)
			time.Sleep(mgr.MaxReplyWait)
			c.send(`{"command":"count","id":2}`)
			synctest.Wait()
			require.Equal(t, round+1, s.count)
			require.Len(t, c.receiveAll(2), 2)
			synctest.Wait()
			require.Zero(t, d.Count().Unwritten)
		}
		require.NoError(t, d.end())
	})
}
