package http_test

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport/http"
)

// A pipeListener accepts one end of each net.Pipe that it is given, as a connection to a loopback port.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- there
	return here
}

// Kea's own clients and exporters poll every 10 s to 2 min. A server whose limit is one of these intervals closes the
// connection while the request is on its way.
func TestClientThatPollsAtAUsualIntervalKeepsItsConnection(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute} {
		t.Run(interval.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipes := newPipeListener()
				echo(t, listen(t, &http.Transport{Listener: pipes}))
				c := pipes.dial()
				defer c.Close()
				from := bufio.NewReader(c)
				for i := range 240 {
					if i > 0 {
						time.Sleep(interval) // of the bubble's clock
					}
					write(t, c, request(command))
					require.Equal(t, 200, read(t, from, "POST").StatusCode, "poll %d", i)
				}
			})
		})
	}
}

// An idle connection has the limit of the moment when it becomes idle.
func TestIdleConnectionClosesAfterKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limit atomic.Int64
		pipes := newPipeListener()
		echo(t, listen(t, &http.Transport{
			Listener: pipes, KeepAlive: time.Second, KeepAliveFunc: func() time.Duration { return time.Duration(limit.Load()) },
		}))
		c := pipes.dial()
		defer c.Close()
		from := bufio.NewReader(c)
		for _, keep := range []time.Duration{20 * time.Second, time.Hour, 40 * time.Second} {
			limit.Store(int64(keep))
			write(t, c, request(command))
			require.Equal(t, 200, read(t, from, "POST").StatusCode)
			synctest.Wait() // it is idle now
			if keep > time.Minute {
				time.Sleep(keep - time.Second)
			}
		}
		synctest.Wait()
		limit.Store(int64(time.Hour)) // too late for the connection that is idle
		start := time.Now()
		_, err := from.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, 40*time.Second, time.Since(start))
	})
}

// The limit of idle connections does not apply to a request that has begun: its head has Idle.
func TestKeepAliveDoesNotExtendTheTimeOfAHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipeListener()
		echo(t, listen(t, &http.Transport{Listener: pipes, KeepAlive: time.Hour, Idle: 5 * time.Second}))
		c := pipes.dial()
		defer c.Close()
		from := bufio.NewReader(c)
		write(t, c, request(command)+"POST / HTTP") // half a head comes with the request before it
		require.Equal(t, 200, read(t, from, "POST").StatusCode)
		start := time.Now()
		_, err := io.Copy(io.Discard, from) // net/http has an answer of its own to it
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, time.Since(start))

		c = pipes.dial()
		defer c.Close()
		from = bufio.NewReader(c)
		write(t, c, request(command))
		require.Equal(t, 200, read(t, from, "POST").StatusCode)
		time.Sleep(time.Minute)
		write(t, c, "POST / HTTP")
		start = time.Now()
		require.Equal(t, 408, read(t, from, "POST").StatusCode)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}
