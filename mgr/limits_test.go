package mgr_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// blob returns the requested number of bytes.
var blob = mgr.Func("blob", "", mgr.Read, func(_ context.Context, in struct {
	Bytes int    `json:"bytes,omitzero"`
	Pad   string `json:"pad,omitzero"`
}) (string, error) {
	return strings.Repeat("x", in.Bytes), nil
})

func TestFullWindowStopsOnlyItsConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxInFlight: 4}}, newTestCommands().commands()...)
		full, other := d.dial(), d.dial()
		for i := range 4 {
			full.send(fmt.Sprintf(`{"command":"park","id":%d}`, i))
		}
		for i := range 20 {
			other.send(fmt.Sprintf(`{"command":"count","id":%d}`, i))
			require.Zero(t, other.receive().Result)
		}
		full.requireSilence()
		full.close() // the manager notices it, though it reads no more requests
		other.close()
		synctest.Wait()
		require.Zero(t, d.Count().Conns)
	})
}

func TestCallsBeyondMaxQueuedGet429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxQueued: 3}}, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":0}`)
		synctest.Wait()
		c.send(`{"command":"count","id":1}{"command":"count","id":2}{"command":"count","id":3}{"command":"count","id":4}`)
		want := reply{ID: 4.0, Result: 429, Text: "3 commands are waiting; try again later", Error: details("too-many")}
		require.Equal(t, want, c.receive())
		want.ID = nil
		require.Equal(t, want, d.call(`{"command":"count"}`))
		require.Equal(t, 429, d.call(`{"command":"sing"}`).Result, "an unknown command would be queued, too")
		c.send(`{"command":"park","id":5}`) // off the loop
		c.requireSilence()
		s.release <- struct{}{}
		replies := c.receiveAll(4)
		require.Equal(t, 3.0, replies[3.0].Arguments)
	})
}

// When a peer holds more than its share, or all peers together more than the total, a complete request gets result 429, and
// its conn stays open.
func TestRequestBeyondMaxBufferedIsAnswered429(t *testing.T) {
	for name, test := range map[string]struct {
		limits mgr.Limits
		want   string
	}{
		"share": {mgr.Limits{MaxBufferedPerPeer: 30 << 10}, "ann has as many bytes of requests and replies in the daemon as one peer may (max-buffered-per-peer): 30720; " +
			"read replies, send less at a time, or try again later"},
		"total": {mgr.Limits{MaxBuffered: 30 << 10, MaxBufferedPerPeer: -1}, "all peers together have as many bytes of requests and replies in the daemon as they may (max-buffered): 30720; " +
			"read replies, send less at a time, or try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestCommands()
				_, p, _ := startWithSubjects(t, test.limits, append(s.commands(), blob)...)
				pad := func(id int) string {
					return fmt.Sprintf(`{"command":"blob","arguments":{"pad":"%s"},"id":%d}`, strings.Repeat("x", 3000), id)
				}
				first, second := p.dial(t, "ann"), p.dial(t, "ann")
				defer first.close()
				defer second.close()
				first.send(`{"command":"hold","id":0}`)
				synctest.Wait()
				for id := range 15 { // of at most 16 in flight
					first.send(pad(id + 1))
				}
				synctest.Wait()
				second.send(pad(1))
				r := second.receive()
				require.Equal(t, 429, r.Result)
				require.Equal(t, test.want, r.Text)
				require.Equal(t, map[string]any{"code": "too-many-bytes"}, r.Error)
				s.release <- struct{}{}
				first.receiveAll(16)
				synctest.Wait() // until the writer has returned the bytes of the replies
				second.send(pad(2))
				require.Zero(t, second.receive().Result)
			})
		})
	}
}

// The manager stops reading from a client that sends requests and does not read replies, for all kinds of requests. It delays
// no other peer.
func TestConnWhosePeerReadsNoRepliesIsNotRead(t *testing.T) {
	for _, request := range []string{
		`{"command":"blob","arguments":{"bytes":30000},"id":%d}`,
		`{"command":"count","id":%d}`,
		`{"command":"sing","id":%d}`,
		`{"command":"count","arguments":{"bad":1},"id":%d}`,
		`{"command":"forbidden","id":%d}`,
		`{"id":%d}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{WriteTimeout: time.Hour}}, append(newTestCommands().commands(), blob)...)
			c := d.dial()
			go func() {
				for i := 0; ; i++ {
					if _, err := fmt.Fprintf(c.conn, request, i); err != nil {
						return
					}
				}
			}()
			time.Sleep(time.Minute)
			n := d.Count()
			require.Less(t, n.Unwritten, 100, request)
			require.Less(t, n.Buffered, int64(2<<20), request)
			require.Zero(t, d.call(`{"command":"count"}`).Result)
			c.close()
		})
	}
}

func TestCallsBeyondMaxRateGet429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxRate: 5}}, newTestCommands().commands()...)
		one, same, other := d.dialAs("uid:1"), d.dialAs("uid:1"), d.dialAs("uid:2")
		ask := func(c *rawClient) int {
			c.send(`{"command":"count","id":1}`)
			return c.receive().Result
		}
		for i := range 5 {
			require.Zero(t, ask([]*rawClient{one, same}[i%2]))
		}
		one.send(`{"command":"count","id":1}`)
		require.Equal(t, "more than 5 commands per second from uid:1; try again later", one.receive().Text)
		require.Equal(t, 429, ask(same))
		require.Zero(t, ask(other))
		one.close()
		same.close()
		again := d.dialAs("uid:1")
		require.Equal(t, 429, ask(again), "a new conn changes nothing")
		time.Sleep(200 * time.Millisecond)
		require.Zero(t, ask(again))
		require.Equal(t, 429, ask(again))
		time.Sleep(time.Hour)
		for range 5 {
			require.Zero(t, ask(again))
		}
		require.Equal(t, 429, ask(again))
		again.close()
		other.close()
	})
}

func TestConnsBeyondLimitsGet503(t *testing.T) {
	refused := func(text string) reply {
		return reply{Result: 503, Text: text, Error: details("too-many-conns")}
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{MaxConns: 3, MaxConnsPerPeer: 5}}, newTestCommands().commands()...)
		var open []*rawClient
		for range 3 {
			open = append(open, d.dial())
		}
		for _, c := range open { // an idle conn of the owner would be closed: TestOldestIdleConnOfOwnerIsClosedForNewOne
			c.send(`{"command":"park","id":9}`)
		}
		synctest.Wait()
		extra := d.dial()
		require.Equal(t, refused("this listener has as many conns as it may; close some, or try again later"), extra.receive())
		extra.requireEOF()
		for range 2 { // another listener, and the same peer
			c := d.dialAs("self")
			c.send(`{"command":"park","id":9}`)
			open = append(open, c)
		}
		synctest.Wait()
		extra = d.dialAs("self")
		require.Equal(t, refused("self has as many conns as one peer may; close some"), extra.receive())
		extra.requireEOF()
		d.dialAs("uid:0").close()
		for _, c := range open {
			c.send(`{"command":"count","id":1}`)
			require.Zero(t, c.receive().Result)
			c.close()
		}
		synctest.Wait()
		require.Zero(t, d.call(`{"command":"count"}`).Result)
		synctest.Wait()
		opened, closed := d.seen.conns()
		require.Equal(t, 7, opened)
		require.Equal(t, opened, closed)
	})
}

// Negative limits are no limits.
func TestNegativeLimitsAreNoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, &mgr.Options{Limits: mgr.Limits{
			MaxConns: -1, MaxConnsPerPeer: -1, MaxInFlight: -1, MaxQueued: -1, MaxBuffered: -1, MaxRate: -1, WriteTimeout: -1, DrainTimeout: -1,
		}}, s.commands()...)
		c := d.dial()
		c.send(`{"command":"hold","id":0}`)
		for i := range 100 {
			c.send(fmt.Sprintf(`{"command":"count","id":%d}`, i+1))
		}
		c.requireSilence()
		time.Sleep(2 * mgr.MaxReplyWait)
		d.stop()
		time.Sleep(time.Hour)
		s.release <- struct{}{}
		require.Len(t, c.receiveAll(101), 101)
		c.requireEOF()
	})
}

// A write timeout that is taken away does not close the conn of a peer that reads nothing, also not for a long reply.
func TestConnOfPeerThatReadsNothingStaysOpenWithoutWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Limits: mgr.Limits{WriteTimeout: -1}}, bigReply(300<<10))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"big","id":1}`)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
	})
}
