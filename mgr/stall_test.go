package mgr_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// TestPeerThatDoesNotRead: it is given WriteTimeout for each 32 KiB of its reply, then its conn is
// closed; nobody else notices.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{WriteTimeout: 2 * time.Second}}, blob)
		var stalled []*talker
		for range 20 {
			c := d.dial()
			defer c.leave()
			c.say(`{"command":"blob","arguments":{"bytes":100000},"id":1}`)
			stalled = append(stalled, c)
		}
		for range 7 {
			require.Zero(t, d.ask(`{"command":"blob"}`).Result)
			time.Sleep(time.Second)
			require.Equal(t, 20, d.Count().Speaking)
		}
		time.Sleep(time.Second + 1)
		require.Zero(t, d.Count().Speaking)
		require.Zero(t, d.Count().Buffered)
		for _, c := range stalled {
			part, err := io.ReadAll(c.conn)
			require.NoError(t, err)
			require.Len(t, part, 64<<10, "what the pipe holds")
		}
		require.Contains(t, d.log.String(), "a peer does not read its replies; its conn is closed")
	})
}

// TestPeerThatReadsSlowly gets all of its reply.
func TestPeerThatReadsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{WriteTimeout: 2 * time.Second}}, blob)
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"blob","arguments":{"bytes":1000000},"id":1}`)
		got := 0
		for got < 1000000 {
			n, err := c.conn.Read(make([]byte, 16<<10))
			require.NoError(t, err)
			got += n
			time.Sleep(900 * time.Millisecond)
		}
	})
}

// TestPeerThatReadsSteadily: WriteTimeout is for each delivery, however long they go on one behind the other:
// a peer that asks for more while it reads is never done, and keeps its conn.
func TestPeerThatReadsSteadily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{WriteTimeout: time.Second}}, blob)
		c := d.dial()
		defer c.leave()
		const all = 100
		go func() {
			for id := range all {
				c.say(fmt.Sprintf(`{"command":"blob","arguments":{"bytes":40000},"id":%d}`, id))
			}
		}()
		for range all {
			time.Sleep(500 * time.Millisecond)
			require.Zero(t, c.hear().Result)
		}
	})
}

// Who decides takes longer than a peer may to read: the peer gets its reply all the same, since the time in which it
// has to read that begins when there is one.
func TestDecidingTakesLongerThanReadingMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := sleeper(time.Second)
		d := start(t, &mgr.Options{Authorizer: slow, Limits: mgr.Limits{WriteTimeout: 400 * time.Millisecond}}, newShip().commands()...)
		for range 50 {
			require.Zero(t, d.ask(`{"command":"count"}`).Result)
		}
		require.NotContains(t, d.log.String(), "does not read")
	})
}

// A sleeper allows everything after a while.
type sleeper time.Duration

func (s sleeper) Authorize(*mgr.Call) error {
	time.Sleep(time.Duration(s))
	return nil
}
