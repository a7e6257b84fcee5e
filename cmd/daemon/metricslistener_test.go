package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// openMetrics opens a metrics listener at any port.
func openMetrics(t *testing.T, ready func() bool) *metricsServer {
	t.Helper()
	config := &Metrics{Listen: "127.0.0.1:0"}
	s, err := config.open(newMetrics(func() mgr.Stats { return mgr.Stats{} }), func() time.Duration { return time.Minute }, ready)
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}

func dialMetrics(t *testing.T, s *metricsServer) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c, bufio.NewReader(c)
}

func exchangeHTTP(t *testing.T, c io.Writer, from *bufio.Reader, request string) *http.Response {
	t.Helper()
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	answer, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer
}

const scrape = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

func TestIdleMetricsClientsDoNotBlockAnother(t *testing.T) {
	for name, say := range map[string]string{"silent": "", "half a head": "GET /metrics HTTP/1.1\r\nHo", "after a request": scrape} {
		t.Run(name, func(t *testing.T) {
			s := openMetrics(t, nil)
			var readers []*bufio.Reader
			for range maxScrapers {
				c, from := dialMetrics(t, s)
				if say == scrape {
					require.Equal(t, http.StatusOK, exchangeHTTP(t, c, from, say).StatusCode)
				} else {
					_, err := io.WriteString(c, say)
					require.NoError(t, err)
				}
				readers = append(readers, from)
			}
			start := time.Now()
			for range maxScrapers {
				c, from := dialMetrics(t, s)
				require.Equal(t, http.StatusOK, exchangeHTTP(t, c, from, scrape).StatusCode)
			}
			require.Less(t, time.Since(start), 4*time.Second, "the answer waited for the timeout of idle clients")
			for _, from := range readers {
				_, err := from.ReadByte()
				require.Error(t, err)
				require.NotErrorIs(t, err, net.ErrClosed)
			}
		})
	}
}

// Each transition in the table of boundedListener, with connections that serve requests.
func TestBoundedListenerKeepsBusyConnections(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	begun, finish := make(chan struct{}), make(chan struct{})
	bounded := newBoundedListener(tcp, 2, func() time.Duration { return time.Minute })
	server := &metricsServer{addr: tcp.Addr(), Server: http.Server{
		ConnState: bounded.state, ConnContext: withBoundedConn,
		Handler: bounded.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			begun <- struct{}{}
			<-finish
		})),
	}}
	server.serving.Go(func() { _ = server.Serve(bounded) })
	t.Cleanup(server.close)

	busy, fromBusy := dialMetrics(t, server)
	_, err = io.WriteString(busy, scrape)
	require.NoError(t, err)
	<-begun
	_, fromWaiting := dialMetrics(t, server)
	third, fromThird := dialMetrics(t, server)
	_, err = fromWaiting.ReadByte()
	require.ErrorIs(t, err, io.EOF, "waiting → closed")
	_, err = io.WriteString(third, scrape)
	require.NoError(t, err)
	<-begun

	fourth, fromFourth := dialMetrics(t, server) // both connections are busy, so it waits
	_, err = io.WriteString(fourth, scrape)
	require.NoError(t, err)
	select {
	case <-begun:
		require.Fail(t, "there is one connection too many")
	case <-time.After(50 * time.Millisecond): // this also passes if the fourth connection is slow
	}
	require.NoError(t, third.Close()) // net/http notices it when the handler has returned
	finish <- struct{}{}
	finish <- struct{}{}
	<-begun
	testkit.Eventually(t, func() bool { // the first connection waits before the fourth one is accepted
		bounded.mu.Lock()
		defer bounded.mu.Unlock()
		return bounded.waiting.Len() == 1
	}, "the connection whose request was answered does not wait")
	finish <- struct{}{}
	answer, err := http.ReadResponse(fromFourth, nil)
	require.NoError(t, err, "busy → closed frees a place")
	require.NoError(t, answer.Body.Close())
	answer, err = http.ReadResponse(fromBusy, nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	_ = fromThird

	_, fromFifth := dialMetrics(t, server)
	_, err = fromBusy.ReadByte()
	require.ErrorIs(t, err, io.EOF, "busy → waiting → closed")
	_ = fromFifth
}

func TestBoundedListenerCloseUnblocksAccept(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bounded := newBoundedListener(tcp, 1, nil)
	for range 2 {
		c, err := net.Dial("tcp", tcp.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	first, err := bounded.Accept()
	require.NoError(t, err)
	defer first.Close()
	bounded.mu.Lock()
	first.(*boundedConn).setWaitingLocked(false) // it is busy
	bounded.mu.Unlock()
	ended := make(chan error)
	go func() {
		_, err := bounded.Accept()
		ended <- err
	}()
	require.NoError(t, bounded.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

func TestMetricsRequestWithLengthAndChunksClosesItsConnection(t *testing.T) {
	s := openMetrics(t, nil)
	c, from := dialMetrics(t, s)
	require.False(t, exchangeHTTP(t, c, from, scrape).Close)
	require.True(t, exchangeHTTP(t, c, from, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").Close)
	_, err := from.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

// Prometheus scrapes every 15 s to 2 min, and reuses its connection.
func TestScraperEveryTwoMinutesKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		var d daemon
		d.current.Store(&snapshot{Config: defaults()})
		l := &onceListener{conn: there, closed: make(chan struct{})}
		bounded := newBoundedListener(l, maxScrapers, d.keepAlive)
		server := http.Server{
			ConnState: bounded.state, ConnContext: withBoundedConn, IdleTimeout: time.Minute,
			Handler: bounded.serve((&Metrics{}).handler(newMetrics(func() mgr.Stats { return mgr.Stats{} }), nil)),
		}
		go func() { _ = server.Serve(bounded) }()
		from := bufio.NewReader(here)
		for range 10 {
			require.Equal(t, http.StatusOK, exchangeHTTP(t, here, from, scrape).StatusCode)
			time.Sleep(2 * time.Minute) // on the clock of the synctest bubble
		}
		require.NoError(t, server.Close())
	})
}

// onceListener returns one connection.
type onceListener struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *onceListener) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *onceListener) Close() error {
	close(l.closed)
	return nil
}

func (l *onceListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
