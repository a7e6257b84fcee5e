package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

func TestDialErrorSaysWhatToDo(t *testing.T) {
	id := newIdentity(t)
	plain := listen(t, daemon()).Addr()
	secure := listen(t, &websocket.Transport{Address: "127.0.0.1:0", TLS: id.server}).Addr()
	page := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			http.Error(w, "<h1>nothing here</h1>", http.StatusNotFound)
			return
		}
		http.Redirect(w, r, "/gone", http.StatusFound)
	}))
	for name, test := range map[string]struct {
		at   *websocket.Transport
		want string
	}{
		"no port":        {&websocket.Transport{Address: "localhost"}, "missing port"},
		"TLS to plain":   {&websocket.Transport{Address: plain.String(), Client: id.client}, "does not speak TLS there; is it ws://"},
		"plain to TLS":   {&websocket.Transport{Address: secure.String()}, "there is no HTTP server; is it wss://"},
		"not found":      {&websocket.Transport{Address: page.String(), Path: "/gone"}, "404 Not Found"},
		"redirect":       {&websocket.Transport{Address: page.String()}, "302 Found"},
		"no credentials": {&websocket.Transport{Address: plain.String()}, "401 Unauthorized: no credentials"},
		"wrong path":     {&websocket.Transport{Address: plain.String(), Path: "/x"}, "404 Not Found: there is nothing at \"/x\""},
		"other CA":       {&websocket.Transport{Address: secure.String(), Client: newIdentity(t).client}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.at.Dial(timeout(t))
			require.ErrorContains(t, err, test.want)
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		})
	}
	_, err := (&websocket.Transport{Address: plain.String(), Credentials: transport.Claim{Token: "tired"}}).Dial(timeout(t))
	var slow *transport.SlowDownError
	require.ErrorAs(t, err, &slow)
	require.Equal(t, 7*time.Second, slow.After)
	_, err = (&websocket.Transport{Address: secure.String(), Client: &tlsconf.Client{Pin: id.ops.Fingerprint.Pin()}}).Dial(timeout(t))
	var verify *tlsconf.VerifyError
	require.ErrorAs(t, err, &verify)
}

// Another WebSocket server, which selects no subprotocol.
func TestDialOtherServerFails(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+websocket.AcceptKey(r.Header.Get("Sec-Websocket-Key"))+"\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}))
	_, err := (&websocket.Transport{Address: addr.String()}).Dial(timeout(t))
	require.ErrorContains(t, err, "a WebSocket is there, but no daemon")
}

// Dial ends with its context when the daemon accepts the connection and sends nothing.
func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	ended := errors.New("ended by the test")
	for _, client := range []*tlsconf.Client{nil, {}} {
		ctx, cancel := context.WithCancelCause(context.Background())
		dialed := make(chan error, 1)
		go func() {
			_, err := (&websocket.Transport{Address: l.Addr().String(), Client: client}).Dial(ctx)
			dialed <- err
		}()
		c, err := l.Accept()
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.NoError(t, err)
		cancel(ended)
		require.ErrorIs(t, <-dialed, ended)
		_ = c.Close()
	}
}

// A password is not sent to another machine without TLS.
func TestDialSendsNoPasswordWithoutTLS(t *testing.T) {
	addr := outside(t)
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		testkit.SkipOrFail(t, "cannot listen at %s", addr)
	}
	defer func() { _ = l.Close() }()
	_, err = ann(l.Addr()).Dial(timeout(t))
	require.ErrorContains(t, err, `the user "ann" would be sent there without encryption; use TLS (wss)`)
}

// outside returns an address of this machine that is not loopback.
func outside(t testing.TB) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	testkit.SkipOrFail(t, "this machine has no address but loopback")
	return ""
}
