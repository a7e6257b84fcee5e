package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// memory is a net.Listener without a network, for virtual time.
type memory struct {
	queue chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.queue:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// virtual runs a test in virtual time, with both ends of a conn.
func virtual(t *testing.T, at *websocket.Transport, test func(t *testing.T, c transport.Conn, peer *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		at.Authenticator = book{}
		h := at.Handler()
		l, err := h.Listen(t.Context())
		require.NoError(t, err)
		m := &memory{queue: make(chan net.Conn, 1), done: make(chan struct{})}
		server := &http.Server{Handler: h}
		go func() { _ = server.Serve(m) }()
		here, there := net.Pipe()
		m.queue <- there
		peer := open(t, here)
		c, err := l.Accept(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() {
			_ = peer.Close()
			require.NoError(t, c.Close())
			require.NoError(t, l.Close())
			require.NoError(t, server.Close())
		})
		test(t, c, peer)
	})
}

func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func requireTimedOut(t testing.TB, c transport.Conn, discarded int) {
	t.Helper()
	_, err := c.Receive(t.Context(), nil)
	require.Equal(t, &transport.FrameError{Reason: transport.TimedOut, Discarded: discarded}, err)
}

// listenTo returns a channel of what a peer receives, until the end.
func listenTo(peer *client) <-chan string {
	heard := make(chan string, 1000)
	go func() {
		defer close(heard)
		for {
			s := peer.hear()
			heard <- s
			if s == "end" {
				return
			}
		}
	}()
	return heard
}

func TestSilentClientTimesOut(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		began := time.Now()
		requireTimedOut(t, c, 0)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.NoError(t, c.Context().Err()) // it can be answered
		send(t, c, "{}")
		require.NoError(t, c.Close())
		require.Equal(t, "text {}", <-heard)
		require.Equal(t, "close 1008 timed out with 0 bytes of an unfinished frame", <-heard)
		require.Equal(t, "end", <-heard)
	})
}

// Pings of the peer restart Idle, as each byte does. They are no message: without one the conn times out after the last ping.
func TestPingsRestartIdleAndDoNotEndIt(t *testing.T) {
	virtual(t, &websocket.Transport{PingInterval: -1}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		for range 10 {
			later(9 * time.Second)
			peer.say(frame(fin|ping, "x"))
			require.Equal(t, "pong x", <-heard)
		}
		began := time.Now()
		requireTimedOut(t, c, 0)
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestEachReadRestartsIdle(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		f := frame(fin|text, hello)
		for i := range f {
			later(9 * time.Second)
			peer.say(f[i : i+1])
		}
		require.Equal(t, hello, receive(t, c))
	})
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		peer.say(frame(fin|text, hello)[:8]) // two of them are bytes of the message
		requireTimedOut(t, c, 2)
		_ = c.Close()
		require.Contains(t, <-heard, "close 1008")
		require.Equal(t, "end", <-heard)
	})
}

func TestSlowMessageTimesOut(t *testing.T) {
	virtual(t, &websocket.Transport{PingInterval: -1}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		peer.say(frame(fin|text, hello))
		require.Equal(t, hello, receive(t, c))
		later(time.Hour)
		began := time.Now()
		peer.say(frame(text, "{"))
		go func() { // a byte now and then
			for range 10 {
				time.Sleep(70 * time.Second)
				if _, err := peer.Write(frame(more, " ")); err != nil {
					return
				}
			}
		}()
		requireTimedOut(t, c, 5)
		require.Equal(t, 5*time.Minute, time.Since(began))
		_ = c.Close()
		require.Contains(t, <-heard, "close 1008")
		require.Equal(t, "end", <-heard)
		_ = peer.Close()
		later(10 * time.Minute)
	})
}

// A complete message does not time out, however long the messages before have taken.
func TestNoTimeoutBetweenFrames(t *testing.T) {
	virtual(t, &websocket.Transport{PingInterval: -1}, func(t *testing.T, c transport.Conn, peer *client) {
		for range 100 {
			peer.say(frame(text, `{"id"`))
			later(4 * time.Second)
			peer.say(frame(fin|more, ":1}"))
			require.Equal(t, hello, receive(t, c))
			later(time.Hour)
		}
	})
}

func TestConnEndsWithoutPong(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		peer.say(frame(fin|text, hello))
		require.Equal(t, hello, receive(t, c))
		began := time.Now()
		for range 1000 {
			require.Equal(t, "ping ", peer.hear())
			peer.say(frame(fin|pong, ""))
		}
		require.Equal(t, 1000*20*time.Second, time.Since(began))
		require.NoError(t, c.Context().Err())

		heard := listenTo(peer)
		began = time.Now()
		_, err := c.Receive(t.Context(), nil)
		require.EqualError(t, err, "the peer has not answered for 30s, not even a ping")
		require.Equal(t, 50*time.Second, time.Since(began))
		require.Equal(t, err, ended(t, c))
		require.Equal(t, err, c.Send(t.Context(), []byte("{}")))
		require.Equal(t, []string{"ping ", "ping ", "end"}, []string{<-heard, <-heard, <-heard})
	})
}

// Any bytes from the peer count as a pong.
func TestAnyBytesCountAsPong(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		for range 500 {
			peer.say(frame(fin|text, hello))
			require.Equal(t, hello, receive(t, c))
			later(29 * time.Second)
		}
		require.NoError(t, c.Context().Err())
		_ = c.Close()
		for s := range heard {
			if s != "ping " {
				require.Contains(t, s, "close 1000")
				break
			}
		}
		require.Equal(t, "end", <-heard)
	})
}

// A missing pong does not count while received frames wait for Receive: the pong may be behind them.
func TestMissingPongDoesNotCountWhileInboxIsFull(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 100 {
				peer.say(frame(fin|text, hello))
			}
			peer.say(frame(fin|pong, ""))
		}()
		later(time.Hour)
		require.NoError(t, c.Context().Err())
		for range 100 {
			require.Equal(t, hello, receive(t, c))
		}
		<-sent
		require.Equal(t, "ping ", <-heard)
		later(20 * time.Second)
		require.NoError(t, c.Context().Err())
		<-c.Context().Done()
		require.ErrorContains(t, context.Cause(c.Context()), "not even a ping")
		for s := range heard {
			require.Contains(t, []string{"ping ", "end"}, s)
		}
	})
}

// A missing pong does not count while a message is being sent to a slow peer.
func TestMissingPongDoesNotCountWhileSending(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		peer.say(frame(fin|text, hello))
		require.Equal(t, hello, receive(t, c))
		long := id1(100 << 10)
		sent := make(chan error, 1)
		go func() { sent <- c.Send(t.Context(), []byte(long)) }()
		later(time.Hour)
		require.NoError(t, c.Context().Err())
		require.Equal(t, "text "+long, peer.hear())
		require.NoError(t, <-sent)
	})
}

// A ping that arrives while a message is being sent is answered after it; of several pings only the last one.
func TestPongIsSentAfterMessage(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		sent := make(chan error, 1)
		long := id1(100 << 10)
		go func() { sent <- c.Send(t.Context(), []byte(long), []byte("{}")) }()
		synctest.Wait()
		for _, s := range []string{"a", "b", "c"} {
			peer.say(frame(fin|ping, s))
		}
		synctest.Wait()
		require.Equal(t, []string{"text " + long, "text {}", "pong c"}, []string{peer.hear(), peer.hear(), peer.hear()})
		require.NoError(t, <-sent)
	})
}

// The connection is closed after a second if the peer does not answer the close frame.
func TestConnectionClosesWithoutPeersCloseFrame(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		heard := listenTo(peer)
		peer.say(frame(fin|text, hello))
		require.Equal(t, hello, receive(t, c))
		began := time.Now()
		require.NoError(t, c.Close())
		require.Zero(t, time.Since(began))
		require.Contains(t, <-heard, "close 1000")
		require.Equal(t, "end", <-heard)
		require.Equal(t, time.Second, time.Since(began))
	})
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		began := time.Now() // nor even reads it
		require.NoError(t, c.Close())
		require.Equal(t, time.Second, time.Since(began))
	})
}

// A Send whose context ends leaves an incomplete message, and no Send after it works.
func TestSendFailsAfterInterruptedSend(t *testing.T) {
	virtual(t, &websocket.Transport{}, func(t *testing.T, c transport.Conn, peer *client) {
		late := errors.New("late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
		defer cancel()
		require.Equal(t, late, c.Send(ctx, []byte(id1(100<<10))))
		require.Equal(t, late, ended(t, c))
		require.Equal(t, late, c.Send(t.Context(), []byte("{}")))
		require.NoError(t, c.Close())
		synctest.Wait()
		_, err := peer.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
