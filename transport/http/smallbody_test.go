package http_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// A request with a small body costs one read. net/http does not read in the background while the handler runs; that would
// cost another read, which finds nothing, and two changes of goroutines.
func TestHandlerRunsWithoutBackgroundRead(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	counting := &countingListener{Listener: tcp}
	l := listen(t, &http.Transport{Listener: counting})
	echo(t, l)
	c := dialTCP(t, l)
	from := bufio.NewReader(c)
	const requests = 100
	for range requests {
		write(t, c, request(command))
		require.Equal(t, 200, read(t, from, "POST").StatusCode)
	}
	require.LessOrEqual(t, counting.reads.Load(), int64(requests+1)) // the last one waits for the next request
}

// Bytes that a client sends while its request is served are the next request.
func TestNextRequestMayArriveEarly(t *testing.T) {
	l := listen(t, &http.Transport{})
	c := dialTCP(t, l)
	from := bufio.NewReader(c)
	for i := range 20 {
		write(t, c, request(`{"n":`+itoa(i)+`}`))
		conn, err := l.Accept(t.Context())
		require.NoError(t, err)
		if i%2 == 0 {
			write(t, c, request(`{"next":`+itoa(i)+`}`))
		}
		reply(t, conn)
		require.Equal(t, `[ {"n":`+itoa(i)+`} ]`, read(t, from, "POST").body)
		if i%2 == 0 {
			conn, err = l.Accept(t.Context())
			require.NoError(t, err)
			reply(t, conn)
			require.Equal(t, `[ {"next":`+itoa(i)+`} ]`, read(t, from, "POST").body)
		}
	}
}

func reply(t *testing.T, c transport.Conn) {
	t.Helper()
	frame, err := c.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, c.Send(context.Background(), frame))
	require.NoError(t, c.Close())
}

// Each byte of a body restarts Idle, up to FrameTimeout for the whole body. The timeouts of a body do not apply to its
// response.
func TestSmallBodyTimeouts(t *testing.T) {
	const idle = 500 * time.Millisecond
	l := listen(t, &http.Transport{Idle: idle})
	in := drip(t, l, "{        }", idle/8)
	c, err := l.Accept(t.Context())
	require.NoError(t, err)
	<-time.After(idle + idle/4)
	reply(t, c)
	require.Equal(t, "[ {        } ]", read(t, in, "POST").body)

	l = listen(t, &http.Transport{FrameTimeout: idle})
	in = drip(t, l, "{"+strings.Repeat(" ", 1000)+"}", idle/8)
	require.Equal(t, 408, read(t, in, "POST").StatusCode)
}

// drip sends the body of a request one byte at a time.
func drip(t *testing.T, l transport.Listener, body string, each time.Duration) *bufio.Reader {
	t.Helper()
	c := dialTCP(t, l)
	write(t, c, request("", "Content-Length: "+itoa(len(body))))
	go func() {
		for i := range body {
			<-time.After(each)
			if _, err := io.WriteString(c, body[i:i+1]); err != nil {
				return
			}
		}
	}()
	return bufio.NewReader(c)
}

// A countingListener counts the reads of its conns.
type countingListener struct {
	net.Listener
	reads atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, &l.reads}, err
}

type countingConn struct {
	net.Conn
	reads *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}
