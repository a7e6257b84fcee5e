package websocket_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// begin returns a conn on which a first message was received, so that Receive reads the next ones.
func begin(t testing.TB, at *websocket.Transport) (c transport.Conn, peer *client) {
	t.Helper()
	l := listen(t, at)
	peer = connect(t, l.Addr())
	c = accept(t, l)
	peer.say(frame(fin|text, hello))
	require.Equal(t, hello, receive(t, c))
	return c, peer
}

// Messages of all lengths, in one frame or several, arrive in order, with any fragments and control frames between them.
func TestMessagesOfAllFormsArriveInOrder(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			c, peer := begin(t, daemon())
			var sent []string
			var wire bytes.Buffer
			for range 100 {
				size := []int{0, 1, 100, 113, 114, 115, 116, 2020, 2030, 2040, 2100, 9000}[random.IntN(12)]
				message := `{"value":"` + strings.Repeat("x", size) + `"}`
				sent = append(sent, message)
				switch first := random.IntN(len(message)); random.IntN(6) {
				case 0:
					wire.Write(frame(text, message[:first]))
					wire.Write(frame(fin|ping, "x"))
					wire.Write(frame(fin|more, message[first:]))
				case 1:
					wire.Write(frame(fin|pong, ""))
					fallthrough
				default:
					wire.Write(frame(fin|text, message))
				}
			}
			go func() {
				for wire.Len() > 0 {
					piece := wire.Next(1 + random.IntN(1+random.IntN(3000)))
					if _, err := peer.Write(piece); err != nil {
						t.Error(err)
						return
					}
				}
			}()
			for i, want := range sent {
				if i%7 == 0 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%5)*100*time.Microsecond)
					got, err := c.Receive(ctx, nil)
					cancel()
					if err == nil {
						require.Equal(t, want, string(got))
						continue
					}
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				require.Equal(t, want, receive(t, c), i)
			}
		})
	}
}

// A Receive whose context ends in the middle of a message loses no byte of it.
func TestInterruptedReceiveLosesNoByte(t *testing.T) {
	c, peer := begin(t, daemon())
	whole := frame(fin|text, `{"value":"`+strings.Repeat("x", 200)+`"}`)
	for cut := range whole {
		ctx, cancel := context.WithCancel(t.Context())
		peer.say(whole[:cut])
		go cancel()
		_, err := c.Receive(ctx, nil)
		require.ErrorIs(t, err, context.Canceled)
		peer.say(whole[cut:])
		require.Len(t, receive(t, c), 212)
	}
}

// A bad message is refused with the same error as the first message and as a later one.
func TestLaterMessageIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		say    []byte
		reason transport.Reason
	}{
		"binary":        {frame(fin|binry, hello), transport.Binary},
		"not masked":    {[]byte{fin | text, 2, '{', '}'}, transport.BadEncoding},
		"a bit of more": {frame(fin|rsv2|text, hello), transport.BadEncoding},
		"no JSON":       {frame(fin|text, "hello"), transport.BadFirstByte},
		"short":         {frame(fin|text, `{"value":"`+strings.Repeat("x", 100)+`"}`), transport.TooLarge},
		"long":          {frame(fin|text, `{"value":"`+strings.Repeat("x", 5000)+`"}`), transport.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			at := daemon()
			at.MaxFrame = 100
			c, peer := begin(t, at)
			peer.say(test.say)
			_, err := c.Receive(t.Context(), nil)
			var bad *transport.FrameError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, test.reason, bad.Reason)
		})
	}
}

// Close ends a Receive that reads, and the peer receives the reason.
func TestCloseEndsReceive(t *testing.T) {
	c, peer := begin(t, daemon())
	done := make(chan error, 1)
	go func() { _, err := c.Receive(t.Context(), nil); done <- err }()
	time.AfterFunc(time.Millisecond, func() { _ = c.Close() })
	require.Contains(t, peer.hear(), "close 1000 ")
	peer.say(frame(fin|closer, code(1000, "")))
	require.Equal(t, "end", peer.hear())
	require.ErrorIs(t, <-done, net.ErrClosed)
}

// After messages that Receive has read, a timeout and a closed connection are noticed, in a message and between messages,
// with and without a Receive.
func TestTimeoutAndCloseAreNoticedAfterReceiveHasRead(t *testing.T) {
	three := func(t *testing.T, c transport.Conn, peer *client) {
		for range 3 {
			go peer.say(frame(fin|text, hello))
			require.Equal(t, hello, receive(t, c))
			later(time.Millisecond) // the reader has freed the readLock
		}
	}
	t.Run("late", func(t *testing.T) {
		virtual(t, &websocket.Transport{PingInterval: -1, FrameTimeout: time.Minute}, func(t *testing.T, c transport.Conn, peer *client) {
			three(t, c, peer)
			began := time.Now()
			go peer.say(frame(fin|text, hello)[:10])
			requireTimedOut(t, c, 4)
			require.Equal(t, time.Minute, time.Since(began))
		})
	})
	t.Run("closed without a Receive", func(t *testing.T) {
		virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
			three(t, c, peer)
			began := time.Now()
			go peer.say(frame(fin|closer, code(1000, "")))
			require.Equal(t, "close 1000", peer.hear())
			<-c.Context().Done()
			require.LessOrEqual(t, time.Since(began), 200*time.Millisecond)
		})
	})
	t.Run("silent during a Receive", func(t *testing.T) {
		virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
			heard := listenTo(peer)
			three(t, c, peer)
			began := time.Now()
			_, err := c.Receive(t.Context(), nil)
			require.EqualError(t, err, "the peer has not answered for 30s, not even a ping")
			require.LessOrEqual(t, time.Since(began), 50*time.Second)
			require.Equal(t, []string{"ping ", "ping ", "end"}, []string{<-heard, <-heard, <-heard})
		})
	})
}
