package quic_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// mebibyte is a frame of 1 MiB.
var mebibyte = `["` + strings.Repeat("x", 1<<20-4) + `"]`

func TestFramesArriveOverBadNetwork(t *testing.T) {
	for name, w := range map[string]struct {
		delay, jitter time.Duration
		loss          float64
	}{
		"fair":       {time.Millisecond, 0, 0},
		"far":        {150 * time.Millisecond, 0, 0},
		"loss":       {10 * time.Millisecond, 0, 0.05},
		"reordering": {10 * time.Millisecond, 20 * time.Millisecond, 0},
		"storm":      {50 * time.Millisecond, 30 * time.Millisecond, 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			overBadNetwork(t, w.delay, w.jitter, nil, func(t *testing.T, n *network) {
				n.with(func() { n.loss = w.loss })
				serveEcho(n.l)
				c := dial(t, n.client)
				began := time.Now()
				send(t, c, mebibyte)
				require.Equal(t, mebibyte, receive(t, c))
				t.Logf("1 MiB each dialer took %v", time.Since(began))

				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						small := dial(t, n.client)
						for range 10 {
							send(t, small, `{"hello":1}`)
							require.Equal(t, `{"hello":1}`, receive(t, small))
						}
					})
				}
				all.Wait()
			})
		})
	}
}

// The client's address changes while a command runs, as behind a NAT that has removed its entry.
func TestClientAddressMayChangeDuringCommand(t *testing.T) {
	overBadNetwork(t, 10*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		idle, other := pair(t, n.l, n.client)
		n.move()
		began := time.Now()
		sent := make(chan error, 1)
		go func() { sent <- accepted.Send(context.Background(), []byte(mebibyte)) }()
		require.Equal(t, mebibyte, receive(t, dialed))
		t.Logf("it took %v", time.Since(began))
		require.NoError(t, <-sent)
		require.Less(t, time.Since(began), 20*time.Second)
		send(t, idle, "{}")
		require.Equal(t, "{}", receive(t, other))
		require.Equal(t, clientAddr.String(), other.Peer().Addr.String(), "where it came from")
	})
}

// A connection stays open while both sides run. It ends within a minute when the network fails.
func TestConnectionEndsWhenNetworkFails(t *testing.T) {
	overBadNetwork(t, 10*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		time.Sleep(24 * time.Hour)
		require.NoError(t, dialed.Context().Err())
		require.NoError(t, accepted.Context().Err())
		send(t, accepted, "{}")
		require.Equal(t, "{}", receive(t, dialed))

		n.with(func() { n.loss = 1 })
		began := time.Now()
		for _, c := range []transport.Conn{accepted, dialed} {
			<-c.Context().Done()
			require.ErrorAs(t, context.Cause(c.Context()), new(*quicgo.IdleTimeoutError))
		}
		require.Less(t, time.Since(began), 80*time.Second)
		require.ErrorContains(t, dialed.Send(t.Context(), []byte("{}")), "has sent nothing for too long")
	})
}

// A connection without a stream, and a handshake that is never completed, are closed.
func TestUnusedConnectionIsClosed(t *testing.T) {
	overBadNetwork(t, 10*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		c := dial(t, n.client)
		eventuallyVirtual(t, func() bool { return quic.Sessions(n.l) == 1 })
		time.Sleep(9 * time.Second)
		require.NoError(t, c.Context().Err())
		time.Sleep(2 * time.Second)
		require.Error(t, c.Context().Err())
		require.ErrorAs(t, context.Cause(c.Context()), new(*quicgo.ApplicationError))
		require.Zero(t, quic.Sessions(n.l))

		d := dial(t, n.client) // one that was used is kept while a conn is open
		send(t, d, "{}")
		serverSide := accept(t, n.l)
		require.Equal(t, "{}", receive(t, serverSide))
		time.Sleep(time.Hour)
		require.NoError(t, d.Context().Err())
	})
}

func eventuallyVirtual(t *testing.T, condition func() bool) {
	t.Helper()
	for range 1000 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	require.Fail(t, "it does not happen")
}

// A daemon that exits when its conns are closed has delivered its last reply, also over a bad network, whether the
// listener was closed before the conn or after it.
func TestLastReplyIsDeliveredBeforeExit(t *testing.T) {
	for _, first := range []string{"listener", "conn"} {
		for _, loss := range []float64{0, 0.05} {
			t.Run(first, func(t *testing.T) {
				overBadNetwork(t, 20*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
					dialed, accepted := pair(t, n.l, n.client)
					n.with(func() { n.loss = loss })
					received := make(chan string, 1)
					go func() {
						received <- receiveToTheEnd(dialed)
					}()
					end := []func() error{n.l.Close, accepted.Close}
					if first == "conn" {
						end[0], end[1] = end[1], end[0]
					} else {
						require.NoError(t, end[0]())
						end = end[1:]
					}
					require.NoError(t, accepted.Send(t.Context(), []byte(mebibyte)))
					began := time.Now()
					for _, step := range end {
						require.NoError(t, step())
					}
					t.Logf("it lingered for %v", time.Since(began))
					require.LessOrEqual(t, time.Since(began), 2200*time.Millisecond)
					quic.Kill(n.l)
					synctest.Wait()
					require.Equal(t, mebibyte, <-received)
				})
			})
		}
	}
}

// receiveToTheEnd receives all frames until the end, and closes the conn.
func receiveToTheEnd(c transport.Conn) string {
	defer c.Close()
	var all []byte
	for {
		frame, err := c.Receive(context.Background(), nil)
		if errors.Is(err, io.EOF) {
			return string(all)
		}
		if err != nil {
			return string(all) + err.Error()
		}
		all = append(all, frame...)
	}
}

// A client that does not close its connection delays a drain by at most two seconds. A client that has received its reply
// long ago delays it by at most 100 ms.
func TestClientDelaysDrainAtMostTwoSeconds(t *testing.T) {
	overBadNetwork(t, 20*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		send(t, accepted, "{}")
		require.NoError(t, n.l.Close())
		began := time.Now()
		require.NoError(t, accepted.Close())
		require.Equal(t, 2*time.Second, time.Since(began).Round(100*time.Millisecond))
		require.Equal(t, "{}", receive(t, dialed))
	})
	overBadNetwork(t, 20*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		send(t, accepted, "{}")
		require.Equal(t, "{}", receive(t, dialed))
		time.Sleep(time.Minute)
		require.NoError(t, n.l.Close())
		began := time.Now()
		require.NoError(t, accepted.Close())
		require.Equal(t, 100*time.Millisecond, time.Since(began).Round(10*time.Millisecond))
		_, err := dialed.Receive(within(t, testkit.Timeout), nil)
		require.ErrorIs(t, err, io.EOF)
	})
}

// A slow client receives the whole reply, also after the daemon has closed the conn.
func TestSlowClientReceivesWholeReply(t *testing.T) {
	overBadNetwork(t, 20*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		reply := mebibyte[:100<<10] + `"]`
		send(t, accepted, reply)
		require.NoError(t, accepted.Close())
		time.Sleep(10 * time.Minute)
		require.Equal(t, reply, receive(t, dialed))
		_, err := dialed.Receive(within(t, testkit.Timeout), nil)
		require.ErrorIs(t, err, io.EOF)
	})
}

// Close cuts off a reply that the client does not read, and the client gets an error.
func TestCloseCutsOffUnreadReply(t *testing.T) {
	overBadNetwork(t, 20*time.Millisecond, 0, nil, func(t *testing.T, n *network) {
		dialed, accepted := pair(t, n.l, n.client)
		send(t, accepted, `{"whole":1}`)
		sent := make(chan error, 1)
		go func() { sent <- accepted.Send(context.Background(), []byte(mebibyte)) }()
		synctest.Wait()
		time.Sleep(time.Second)
		require.NoError(t, accepted.Close())
		require.ErrorIs(t, <-sent, net.ErrClosed)
		require.Equal(t, `{"whole":1}`, receive(t, dialed))
		_, err := dialed.Receive(within(t, testkit.Timeout), nil)
		bad, ok := errors.AsType[*transport.FrameError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, transport.CutOff, bad.Reason)
	})
}
