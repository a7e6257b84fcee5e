package web_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/front"
	"github.com/rudderpost/rudderpost/transport/internal/web"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, cfg web.Config) *web.Server {
	t.Helper()
	cfg.Front.Transport, cfg.Front.Address, cfg.Front.Insecure = "http", "127.0.0.1:0", true
	s, err := web.Listen(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func dial(t *testing.T, s *web.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// Silence is answered with 408 before the first request, and not after one; half a head always. Whoever
// watches is told of those who began something, not of browsers that connect in advance.
func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		say     string
		answers []int
		told    int
	}{
		"nothing":                {"", []int{408}, 0},
		"half a head":            {"GET / HTTP/1.1\r\nHo", []int{408}, 1},
		"a request":              {request, []int{200}, 0},
		"a request and half one": {request + "GET", []int{200}, 0}, // which came with it
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan transport.Refusal, 9)
			s := listen(t, web.Config{
				Front:         front.Config{OnRefused: func(r transport.Refusal) { told <- r }},
				Handler:       http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
				HeaderTimeout: 100 * time.Millisecond, IdleTimeout: func() time.Duration { return 100 * time.Millisecond },
			})
			conn := dial(t, s)
			_, err := io.WriteString(conn, c.say)
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			for _, want := range c.answers {
				answer, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, answer.Body)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				require.Equal(t, want, answer.StatusCode)
			}
			_, err = in.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			require.Len(t, told, c.told)
		})
	}
}

// A half head that comes after an answer is too late as well.
func TestHalfAHeadAfterARequest(t *testing.T) {
	told := make(chan transport.Refusal, 9)
	s := listen(t, web.Config{
		Front:         front.Config{OnRefused: func(r transport.Refusal) { told <- r }},
		Handler:       http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		HeaderTimeout: 100 * time.Millisecond,
	})
	conn := dial(t, s)
	in := bufio.NewReader(conn)
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 200, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
	_, err = io.WriteString(conn, "GET / HT")
	require.NoError(t, err)
	answer, err = http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 408, answer.StatusCode)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "http", (<-told).Transport)
}

// Close ends what is silent, and lets finish what is not.
func TestClose(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := listen(t, web.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
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
