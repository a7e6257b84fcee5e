package httpauth_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, cfg httpauth.Config) *httpauth.Server {
	t.Helper()
	cfg.Accept.Transport, cfg.Accept.Address, cfg.Accept.Insecure = "http", "127.0.0.1:0", true
	s, err := httpauth.Listen(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func dial(t *testing.T, s *httpauth.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// TestPhaseTransitions walks the table of phase. The handler reports the phase while it runs.
func TestPhaseTransitions(t *testing.T) {
	const short, second, long = 100 * time.Millisecond, time.Second, time.Minute
	for _, test := range []struct {
		name       string
		send       []string // each after the response to the one before
		statuses   []int
		refused    int
		head, idle time.Duration // timeouts
	}{
		{"new to timed out: a 408, and no refusal", []string{""}, []int{408}, 0, short, long},
		{"new to head to timed out: a 408, and a refusal", []string{"GET / HTTP/1.1\r\nHo"}, []int{408}, 1, short, long},
		{"new to head to request to idle: closes without a response", []string{request}, []int{200}, 0, long, short},
		{"idle to request: the second head was in the buffer", []string{request + request}, []int{200, 200}, 0, long, short},
		{"idle with a part of a head in the buffer: closes without a response", []string{request + "GET"}, []int{200}, 0, long, short},
		{"idle to head to request", []string{request, request}, []int{200, 200}, 0, long, second},
		{"idle to head to timed out: a 408, and a refusal", []string{request, "GET / HT"}, []int{200, 408}, 1, second, long},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusals := make(chan transport.Refusal, 9)
			s := listen(t, httpauth.Config{
				Accept:        accept.Config{OnRefused: func(r transport.Refusal) { refusals <- r }},
				Handler:       http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
				HeaderTimeout: test.head, IdleTimeout: func() time.Duration { return test.idle },
			})
			conn := dial(t, s)
			in := bufio.NewReader(conn)
			for i, want := range test.statuses {
				if i < len(test.send) {
					_, err := io.WriteString(conn, test.send[i])
					require.NoError(t, err)
				}
				response, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, want, response.StatusCode)
			}
			_, err := in.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			require.Len(t, refusals, test.refused)
			if test.refused > 0 {
				require.Equal(t, "http", (<-refusals).Transport)
			}
		})
	}
}

// A connection can be evicted in each phase but phaseRequest.
func TestNewConnEvictsIdleConnAndNotOneWithARequest(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := listen(t, httpauth.Config{MaxConns: 1, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-finish
	})})
	busy := dial(t, s)
	_, err := io.WriteString(busy, request)
	require.NoError(t, err)
	<-begun
	idle := dial(t, s)
	_ = dial(t, s)
	_, err = idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "evicted without a response")
	close(finish)
	response, err := http.ReadResponse(bufio.NewReader(busy), nil)
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

func TestCloseEndsIdleConnsAndWaitsForNoRequest(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := listen(t, httpauth.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "done")
	})})
	silent, busy := dial(t, s), dial(t, s)
	_, err := io.WriteString(busy, request)
	require.NoError(t, err)
	<-begun
	require.NoError(t, s.Close())
	_, err = silent.Read(make([]byte, 1))
	require.Error(t, err)
	close(finish)
	answer, err := http.ReadResponse(bufio.NewReader(busy), nil)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "done", string(text))
	require.NoError(t, answer.Body.Close())
	_, err = new(net.Dialer).DialContext(context.Background(), "tcp", s.Addr().String())
	require.Error(t, err)
}
