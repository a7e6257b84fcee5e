package http_test

import (
	"context"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// foreign returns a dialer to another server.
func foreign(t *testing.T, f nethttp.HandlerFunc) *http.Transport {
	t.Helper()
	s := httptest.NewServer(f)
	tr := &http.Transport{Address: s.Listener.Addr().String(), Credentials: credentials}
	t.Cleanup(func() {
		tr.CloseIdle()
		s.Close()
	})
	return tr
}

// post sends a command and returns all replies.
func post(t *testing.T, tr *http.Transport) (replies []string, err error) {
	t.Helper()
	c, err := tr.Dial(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	if err := c.Send(t.Context(), []byte(command)); err != nil {
		return nil, err
	}
	for {
		reply, err := c.Receive(t.Context(), nil)
		if errors.Is(err, io.EOF) && !errors.As(err, new(*transport.FrameError)) {
			return replies, nil
		}
		if err != nil {
			return replies, err
		}
		replies = append(replies, string(reply))
	}
}

func TestRepliesOfOtherServers(t *testing.T) {
	for _, c := range []struct {
		media, text string
		want        []string
	}{
		{"application/json", `[ { "result": 0 } ]`, []string{`{ "result": 0 }`}},
		{"application/json; charset=utf-8", `[{"a":"]}\",["},{"b":[1,2,{"c":","}]}]` + "\n", []string{`{"a":"]}\",["}`, `{"b":[1,2,{"c":","}]}`}},
		{"application/json", `[ [ { "result": 0 } ] ]`, []string{`[ { "result": 0 } ]`}}, // B7.06
		{"application/json", `{ "result": 0 }`, []string{`{ "result": 0 }`}},
		{"application/json", ` [ ] `, nil},
		{"application/x-ndjson", "{}\n[1]\n", []string{`{}`, `[1]`}},
		{"application/x-ndjson", "", nil},
	} {
		tr := foreign(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
			user, password, _ := r.BasicAuth()
			if user != "ann" || password != "secret" || r.Method != nethttp.MethodPost || r.URL.Path != "/" {
				t.Error(user, r.Method, r.URL)
			}
			w.Header().Set("Content-Type", c.media)
			_, _ = io.WriteString(w, c.text)
		})
		got, err := post(t, tr)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got)
	}
}

func TestBadResponsesAreErrors(t *testing.T) {
	answer := func(media, text string) nethttp.HandlerFunc {
		return func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, c := range map[string]struct {
		f    nethttp.HandlerFunc
		want string
	}{
		"a page":     {answer("text/html", "<html>"), `the answer is "text/html" and not JSON; is a daemon there?`},
		"no JSON":    {answer("application/json", "hello"), `a frame cannot start with the byte 'h'`},
		"two arrays": {answer("application/json", "[{}][{}]"), "more than one array"},
		"a part":     {answer("application/json", "[{}"), "the peer stopped"},
		"too long":   {answer("application/json", "["+strings.Repeat(" ", 200)+"]"), "frame is longer than"},
		"a redirect": {func(w nethttp.ResponseWriter, r *nethttp.Request) {
			nethttp.Redirect(w, r, "http://evil.example/", nethttp.StatusTemporaryRedirect)
		}, "HTTP status 307"},
		"cut off": {func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Length", "100")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "[ {}")
		}, "unexpected EOF"},
		"nothing": {func(nethttp.ResponseWriter, *nethttp.Request) { panic(nethttp.ErrAbortHandler) }, "without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := foreign(t, c.f)
			tr.MaxFrame = 100
			got, err := post(t, tr)
			require.Empty(t, got)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestStatusErrorSaysWhatToDo(t *testing.T) {
	l := listen(t, &http.Transport{MaxFrame: 10})
	echo(t, l)
	at := l.Addr().String()
	_, port, _ := net.SplitHostPort(at)
	for _, c := range []struct {
		tr     *http.Transport
		status int
		want   string
	}{
		{&http.Transport{Address: at}, 401, "credentials are needed or wrong: --user, --token-file or --cert"},
		{&http.Transport{Address: at, Credentials: transport.Claim{User: "ann", Password: "x"}}, 401, "credentials are needed or wrong"},
		{&http.Transport{Address: at, Credentials: transport.Claim{User: "slow", Password: "x"}}, 429, "try again in 2s"},
		{&http.Transport{Address: at, Credentials: credentials}, 413, "a command has at most 10 bytes"},
		{&http.Transport{Address: "localhost:" + port}, 401, "localhost"},
	} {
		_, err := post(t, c.tr)
		c.tr.CloseIdle()
		var status *http.StatusError
		require.ErrorAs(t, err, &status)
		require.Equal(t, c.status, status.Status)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestDialErrorSaysWhatToDo(t *testing.T) {
	noDaemon := testkit.Port(t)
	_, err := post(t, &http.Transport{Address: noDaemon})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, "http://"+noDaemon)
	require.ErrorContains(t, err, "is the daemon running")

	l := listen(t, &http.Transport{})
	_, err = post(t, &http.Transport{Address: l.Addr().String(), Client: clientTLS(t)})
	require.ErrorContains(t, err, "it may be http and not https")

	_, err = (&http.Transport{Address: "192.0.2.1:80", Credentials: credentials}).Dial(t.Context())
	require.ErrorContains(t, err, "without encryption")
	require.NotContains(t, err.Error(), "secret")
	c, err := (&http.Transport{Address: "192.0.2.1:80", Credentials: credentials, Insecure: true}).Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// The daemon's certificate must have the name that was dialed, and be of a trusted CA.
func TestUntrustedDaemonIsRefused(t *testing.T) {
	l := listen(t, &http.Transport{TLS: serverTLS(t)})
	other := clientTLS(t)
	other.ServerName = "other.example"
	_, err := post(t, &http.Transport{Address: l.Addr().String(), Client: other})
	require.Error(t, err)

	noCert := clientTLS(t)
	noCert.Cert, noCert.Key = "", ""
	_, err = post(t, &http.Transport{Address: l.Addr().String(), Client: noCert})
	require.Error(t, err)
}

// Successive POSTs share a connection, and concurrent POSTs do not wait for each other.
func TestConnectionsAreShared(t *testing.T) {
	var from []string
	tr := foreign(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		from = append(from, r.RemoteAddr)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[ {} ]")
	})
	for range 10 {
		_, err := post(t, tr)
		require.NoError(t, err)
	}
	for _, addr := range from {
		require.Equal(t, from[0], addr)
	}
}

func TestSecondFrameOnOneConnIsRefusedWithAdvice(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	tr := &http.Transport{Address: l.Addr().String(), Credentials: credentials}
	t.Cleanup(tr.CloseIdle)
	c, err := tr.Dial(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, c.Send(t.Context(), []byte("{}"), []byte("{}")), transport.ErrOneFrame)
	require.NoError(t, c.Send(t.Context()))
	require.NoError(t, c.Send(t.Context(), []byte("{}")))
	err = c.Send(t.Context(), []byte("{}"))
	require.ErrorIs(t, err, transport.ErrOneFrame)
	require.ErrorContains(t, err, "an HTTP conn carries one command; dial again")
	got, err := c.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "{}", string(got))
	_, err = c.Receive(t.Context(), nil)
	require.Equal(t, io.EOF, err)
	require.ErrorIs(t, c.Send(t.Context(), []byte("{}")), transport.ErrOneFrame, "after the reply")
	require.NoError(t, c.Close())
}

// Receive ends with its context and loses no reply. Close ends a blocked Receive.
func TestReceiveEndsWithContextAndClose(t *testing.T) {
	l := listen(t, &http.Transport{})
	tr := &http.Transport{Address: l.Addr().String(), Credentials: credentials, Lines: true}
	t.Cleanup(tr.CloseIdle)
	c, err := tr.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Send(t.Context(), []byte("{}")))
	there, err := l.Accept(t.Context())
	require.NoError(t, err)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		_, err = c.Receive(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
	}
	require.NoError(t, there.Send(t.Context(), []byte(`{"n":1}`)))
	got, err := c.Receive(t.Context(), []byte("dst "))
	require.NoError(t, err)
	require.Equal(t, `dst {"n":1}`, string(got))
	waiting := make(chan error, 1)
	go func() {
		_, err := c.Receive(context.Background(), nil)
		waiting <- err
	}()
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-waiting, net.ErrClosed)
	require.NoError(t, there.Close())
}
