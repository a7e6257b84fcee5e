package http_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

const refusal = `{"result":403,"text":"no","error":{"code":"forbidden"}}`

func TestReplyWithAStatusIsTheBodyOfThatStatus(t *testing.T) {
	l := listen(t, &http.Transport{})
	for _, test := range []struct {
		status            int
		more              string
		retry, challenged bool
	}{
		{401, "", false, true},
		{403, "", false, false},
		{429, "", true, false},
		{503, "", true, false},
		{403, "Accept: application/x-ndjson", false, false},
		{403, "Connection: close", false, false},
	} {
		lines := []string{"X: y"}
		if test.more != "" {
			lines = append(lines, test.more)
		}
		wire, conn := accepted(t, l, request(command, lines...))
		require.NoError(t, conn.Send(transport.WithStatus(t.Context(), test.status), []byte(refusal)))
		require.NoError(t, conn.Close())
		from := bufio.NewReader(wire)
		got := read(t, from, "POST")
		require.Equal(t, test.status, got.StatusCode)
		require.Equal(t, refusal, got.body)
		require.EqualValues(t, len(refusal), got.ContentLength)
		require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
		require.Equal(t, test.retry, got.Header.Get("Retry-After") == "1")
		require.Equal(t, test.challenged, got.Header.Get("WWW-Authenticate") != "")
		require.Equal(t, strings.HasPrefix(test.more, "Connection"), got.Close)
		if !got.Close { // the connection carries the next request
			write(t, wire, request(command))
			conn, err := l.Accept(t.Context())
			require.NoError(t, err)
			reply(t, conn)
			require.Equal(t, 200, read(t, from, "POST").StatusCode)
		}
	}
}

// A listener with client certificates only sends no challenge.
func TestRefusalOfAListenerWithoutPasswordsHasNoChallenge(t *testing.T) {
	l := listen(t, &http.Transport{TLS: serverTLS(t)})
	serve(t, l, func(c transport.Conn) {
		_, _ = c.Receive(context.Background(), nil)
		_ = c.Send(transport.WithStatus(context.Background(), 401), []byte(refusal))
		_ = c.Close()
	})
	config, err := clientTLS(t).Config("localhost")
	require.NoError(t, err)
	c := tls.Client(dialTCP(t, l), config)
	write(t, c, request(command, "Authorization:"))
	got := read(t, bufio.NewReader(c), "POST")
	require.Equal(t, 401, got.StatusCode)
	require.Empty(t, got.Header.Get("WWW-Authenticate"))
}

// The status of one of several replies is ignored.
func TestStatusOfOneOfSeveralRepliesIsIgnored(t *testing.T) {
	l := listen(t, &http.Transport{})
	for name, sends := range map[string][][]string{
		"the first":    {{"403", refusal}, {"", "{}"}},
		"the second":   {{"", "{}"}, {"403", refusal}},
		"two together": {{"403", refusal, "{}"}},
	} {
		t.Run(name, func(t *testing.T) {
			wire, conn := accepted(t, l, request(command))
			go func() {
				for _, send := range sends {
					ctx := context.Background()
					if send[0] != "" {
						ctx = transport.WithStatus(ctx, 403)
					}
					var frames [][]byte
					for _, frame := range send[1:] {
						frames = append(frames, []byte(frame))
					}
					_ = conn.Send(ctx, frames...)
				}
				_ = conn.Close()
			}()
			got := read(t, bufio.NewReader(wire), "POST")
			require.Equal(t, 200, got.StatusCode)
			require.Contains(t, []string{"[ {}, " + refusal + " ]", "[ " + refusal + ", {} ]"}, got.body)
		})
	}
}

// A dialer returns the reply of a refusal. Any other body is a StatusError.
func TestDialerHandsOverTheReplyOfARefusal(t *testing.T) {
	long := `{"result":403,"text":"` + strings.Repeat("x", 100<<10) + `","error":{"code":"forbidden"}}`
	for _, test := range []struct {
		name, body string
		status     int
		isReply    bool
	}{
		{"a reply", refusal, 403, true},
		{"a reply in Kea's spelling", `{ "error": { "code": "too-many" }, "result": 429, "text": "no" }` + "\n", 429, true},
		{"a reply with an unusual status", refusal, 418, true},
		{"our transport's or Kea's", `{ "result": 401, "text": "Unauthorized" }`, 401, false},
		{"a proxy's error", `{"error":"no route"}`, 503, false},
		{"a proxy's map", `{"error":{"code":7}}`, 503, false},
		{"another type of result", `{"result":"403","error":{}}`, 403, false},
		{"a list", "[" + refusal + "]", 403, false},
		{"two", refusal + refusal, 403, false},
		{"too long", long, 403, false},
		{"cut off", refusal[:20], 403, false},
		{"a page", "<html>no</html>", 502, false},
		{"nothing", "", 503, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			place := &http.Transport{Address: server.Listener.Addr().String()}
			defer place.CloseIdle()
			conn, err := place.Dial(t.Context())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.Send(t.Context(), []byte(command)))
			frame, err := conn.Receive(t.Context(), nil)
			if !test.isReply {
				var status *http.StatusError
				require.ErrorAs(t, err, &status)
				require.Equal(t, test.status, status.Status)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(test.body), string(frame))
			_, err = conn.Receive(t.Context(), nil)
			require.Equal(t, io.EOF, err)
			require.NoError(t, conn.Context().Err())
		})
	}
}
