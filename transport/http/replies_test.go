package http_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// accepted has the connection of a request, and its conn.
func accepted(t *testing.T, l transport.Listener, text string) (*net.TCPConn, transport.Conn) {
	t.Helper()
	c := dialTCP(t, l)
	write(t, c, text)
	conn, err := l.Accept(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return c, conn
}

func TestBodyOfReplies(t *testing.T) {
	l := listen(t, &http.Transport{})
	long := `{"long":"` + strings.Repeat("x", 100<<10) + `"}`
	longList := "[" + long + "]"
	const lines = "Accept: application/json;q=0.5, Application/X-NDJSON"
	for _, c := range []struct {
		name    string
		line    string
		replies []string // each is sent by itself, but for those with a + between
		want    string
		chunked bool
	}{
		{"one", "Accept: */*", []string{`{}`}, `[ {} ]`, false},
		{"a list", "Accept: */*", []string{`[{}]`}, `[{}]`, false},
		{"a long list", "Accept: */*", []string{longList}, longList, false},
		{"two", "Accept: */*", []string{`{"a":1}`, `{"b":2}`}, `[ {"a":1}, {"b":2} ]`, true},
		{"two lists", "Accept: */*", []string{`[1]`, `[2]`}, `[ [1], [2] ]`, true},
		{"two at once", "Accept: */*", []string{`{"a":1}+{"b":2}`}, `[ {"a":1}, {"b":2} ]`, true},
		{"one, then two", "Accept: */*", []string{`{}`, `{"a":1}+{"b":2}`, `{}`}, `[ {}, {"a":1}, {"b":2}, {} ]`, true},
		{"long", "Accept: */*", []string{long}, "[ " + long + " ]", true},
		{"long and short", "Accept: */*", []string{long, "{}"}, "[ " + long + ", {} ]", true},
		{"a line", lines, []string{`{}`}, "{}\n", true},
		{"lines", lines, []string{`{"a":1}`, `{"b":2}+[3]`, long}, "{\"a\":1}\n{\"b\":2}\n[3]\n" + long + "\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire, conn := accepted(t, l, request(command, c.line))
			go func() {
				_ = conn.Send(context.Background())
				for _, text := range c.replies {
					var frames [][]byte
					for frame := range strings.SplitSeq(text, "+") {
						frames = append(frames, []byte(frame))
					}
					if err := conn.Send(context.Background(), frames...); err != nil {
						t.Error(err)
					}
					for _, frame := range frames {
						clear(frame) // it is ours
					}
				}
				_ = conn.Close()
			}()
			got := read(t, bufio.NewReader(wire), "POST")
			require.Equal(t, 200, got.StatusCode)
			require.Equal(t, c.want, got.body)
			require.Equal(t, c.chunked, got.ContentLength < 0)
			if c.line == lines {
				require.Equal(t, "application/x-ndjson", got.Header.Get("Content-Type"))
			}
		})
	}
}

// Each line is sent before the next reply.
func TestLinesAreSentAtOnce(t *testing.T) {
	l := listen(t, &http.Transport{})
	wire, conn := accepted(t, l, request(command, "Accept: application/x-ndjson"))
	from := bufio.NewReader(wire)
	for i := range 3 {
		require.NoError(t, conn.Send(t.Context(), []byte(`{"n":`+itoa(i)+`}`)))
		for {
			line, err := from.ReadString('\n')
			require.NoError(t, err)
			if line == `{"n":`+itoa(i)+"}\n" {
				break
			}
		}
	}
	require.NoError(t, conn.Close())
}

func TestStatusWithoutReply(t *testing.T) {
	l := listen(t, &http.Transport{})
	wire, conn := accepted(t, l, request(command))
	_, err := conn.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	got := read(t, bufio.NewReader(wire), "POST")
	require.Equal(t, `{ "result": 500, "text": "Internal Server Error" }`, got.body)
	require.Equal(t, 500, got.StatusCode)

	wire, conn = accepted(t, l, request(command))
	require.NoError(t, conn.Close())
	got = read(t, bufio.NewReader(wire), "POST")
	require.Equal(t, `{ "result": 503, "text": "Service Unavailable" }`, got.body)
	require.Equal(t, 503, got.StatusCode)
	require.True(t, got.Close)
}

func TestHTTP10(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	old := strings.Replace(request(`["`+strings.Repeat("x", 70<<10)+`"]`), "HTTP/1.1", "HTTP/1.0", 1)
	got := exchange(t, l, old)
	require.Equal(t, "HTTP/1.0 200 OK", got.Proto+" "+got.Status)
	require.True(t, got.Close)
	require.Greater(t, len(got.body), 70<<10)

	c := dialTCP(t, l)
	from := bufio.NewReader(c)
	for range 2 {
		write(t, c, strings.Replace(request(command, "Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1))
		require.Equal(t, "[ "+command+" ]", read(t, from, "POST").body)
	}
	write(t, c, strings.Replace(request(command, "Host:"), "HTTP/1.1", "HTTP/1.0", 1))
	require.Equal(t, "[ "+command+" ]", read(t, from, "POST").body)
}

// flood sends long replies until Send fails.
func flood(ctx context.Context, c transport.Conn, progress chan<- struct{}) error {
	frame := []byte(`{"long":"` + strings.Repeat("x", 100<<10) + `"}`)
	for range 10000 {
		if err := c.Send(ctx, frame); err != nil {
			return err
		}
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	return errors.New("a client that does not read blocks no Send")
}

// A Send to a slow client ends with its context, with Close, and when the client closes. The client does not take the
// incomplete response for a complete one.
func TestSendToSlowClientEnds(t *testing.T) {
	l := listen(t, &http.Transport{})
	for _, why := range []string{"the context", "Close", "the client"} {
		for _, lines := range []string{"Accept: */*", "Accept: application/x-ndjson"} {
			t.Run(why+lines, func(t *testing.T) {
				wire, conn := accepted(t, l, request(command, lines))
				_, err := conn.Receive(t.Context(), nil)
				require.NoError(t, err)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				progress, sent := make(chan struct{}, 1), make(chan error, 1)
				go func() { sent <- flood(ctx, conn, progress) }()
				for stalled := false; !stalled; {
					select {
					case <-progress:
					case <-time.After(100 * time.Millisecond):
						stalled = true
					}
				}
				stop := errors.New("enough")
				switch why {
				case "the context":
					cancel(stop)
					require.ErrorIs(t, <-sent, stop)
				case "Close":
					require.NoError(t, conn.Close())
					require.ErrorIs(t, <-sent, net.ErrClosed)
				case "the client":
					require.NoError(t, wire.Close())
					require.Error(t, <-sent)
				}
				<-conn.Context().Done()
				require.Error(t, conn.Send(t.Context(), []byte("{}")))
				require.NoError(t, conn.Close())
				if why == "the client" {
					return
				}
				text, _ := io.ReadAll(wire)
				require.True(t, strings.HasPrefix(string(text), "HTTP/1.1 200 OK"))
				require.False(t, strings.HasSuffix(string(text), "\r\n0\r\n\r\n"))
			})
		}
	}
}

// A context that ends after its Send has no effect.
func TestContextAfterSendHasNoEffect(t *testing.T) {
	l := listen(t, &http.Transport{})
	wire, conn := accepted(t, l, request(command, "Accept: application/x-ndjson"))
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, conn.Send(ctx, []byte("{}")))
		cancel()
		require.ErrorIs(t, conn.Send(ctx, []byte("{}")), context.Canceled)
	}
	require.NoError(t, conn.Close())
	require.Equal(t, "{}\n{}\n{}\n", read(t, bufio.NewReader(wire), "POST").body)
}
