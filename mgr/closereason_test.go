package mgr_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/websocket"

	"github.com/stretchr/testify/require"
)

// A closeCase is one cause of a close frame.
type closeCase struct {
	name  string
	opts  mgr.Options
	tr    websocket.Transport // settings that differ from the default
	owner bool                // the client is the daemon's owner
	do    func(t *testing.T, c *closeTest)
	code  int
	text  string // "": only the code is compared
}

// A closeTest is a daemon, one of its WebSocket listeners, and a client of it.
type closeTest struct {
	*daemon
	l       *mgr.Listener
	client  *gorilla.Conn
	taken   atomic.Bool   // the client's credential is revoked
	running chan struct{} // has a value when the command "endless" runs
}

func (c *closeTest) send(t *testing.T, request string) {
	t.Helper()
	require.NoError(t, c.client.WriteMessage(gorilla.TextMessage, []byte(request)))
}

// open opens a WebSocket with a client of another project.
func (c *closeTest) open(t *testing.T) *gorilla.Conn {
	t.Helper()
	dialer := gorilla.Dialer{HandshakeTimeout: testkit.Timeout}
	conn, response, err := dialer.DialContext(t.Context(), "ws://"+c.l.Addr().String()+"/", nil)
	require.NoError(t, err)
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	return conn
}

var closeCases = []closeCase{
	{name: "the last request is answered", do: func(t *testing.T, c *closeTest) { c.send(t, `{"command":"count"}`) },
		code: 1000, text: "the conn has ended: a request without an id is the last one"},
	{name: "drain with an idle conn", do: func(t *testing.T, c *closeTest) { go func() { _ = c.end() }() },
		code: 1001, text: "the daemon is shutting down and takes no more commands"},
	{name: "drain that has to cut off a command", opts: mgr.Options{Limits: mgr.Limits{DrainTimeout: time.Millisecond}}, do: func(t *testing.T, c *closeTest) {
		c.send(t, `{"command":"endless"}`)
		<-c.running
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorContains(t, c.Shutdown(ctx), "1 conns were closed")
	}, code: 1001, text: "the daemon is shutting down and takes no more commands"},
	{name: "drain of a listener with an idle conn", do: func(t *testing.T, c *closeTest) { require.Equal(t, 1, c.l.Drain(time.Hour)) },
		code: 1001, text: "this listener was removed and takes no more commands; connect to another one"},
	{name: "drain of a listener that has to cut off a command", do: func(t *testing.T, c *closeTest) {
		c.send(t, `{"command":"endless"}`)
		<-c.running
		require.Equal(t, 1, c.l.Drain(time.Millisecond))
	}, code: 1001, text: "its listener was removed, and the time to drain its conns has passed"},
	{name: "no RFC 6455", do: func(t *testing.T, c *closeTest) {
		_, err := c.client.NetConn().Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		require.NoError(t, err)
	}, code: 1002},
	{name: "binary message", do: func(t *testing.T, c *closeTest) {
		require.NoError(t, c.client.WriteMessage(gorilla.BinaryMessage, []byte(`{"command":"count"}`)))
	}, code: 1003, text: "a binary message is no command; send the JSON as a text message"},
	{name: "no JSON", do: func(t *testing.T, c *closeTest) { c.send(t, "hello") },
		code: 1007, text: "a frame cannot start with the byte 'h' (offset 0)"},
	{name: "silence", tr: websocket.Transport{Idle: 20 * time.Millisecond}, do: func(*testing.T, *closeTest) {},
		code: 1008, text: "timed out with 0 bytes of an unfinished frame"},
	{name: "revoked credentials of an idle conn", do: func(_ *testing.T, c *closeTest) { c.taken.Store(true) },
		code: 1008, text: "your credentials are no longer good: revoked, changed or expired; the conn closes"},
	{name: "revoked credentials of a request", do: func(t *testing.T, c *closeTest) {
		c.taken.Store(true)
		c.send(t, `{"command":"count","id":1}`)
	}, code: 1008, text: "your credentials are no longer good: revoked, changed or expired; the conn closes"},
	{name: "killed session", do: func(t *testing.T, c *closeTest) {
		require.Equal(t, 1, c.CloseSession(c.Sessions()[0].ID))
	}, code: 1008, text: "the session was closed by an administrator; open a new connection"},
	{name: "too many conns", opts: mgr.Options{Limits: mgr.Limits{MaxConnsPerPeer: 1}}, do: func(t *testing.T, c *closeTest) {
		c.client = c.open(t)
	}, code: 1008, text: "user:ann has as many conns as one peer may; close some"},
	{name: "an idle conn of the owner that gives way to a newer one", opts: mgr.Options{Limits: mgr.Limits{MaxConnsPerPeer: 1}}, owner: true, do: func(t *testing.T, c *closeTest) {
		c.open(t)
	}, code: 1008, text: "this conn was idle, and it was closed for a newer conn of the same owner"},
	{name: "too long", tr: websocket.Transport{MaxFrame: 100}, do: func(t *testing.T, c *closeTest) {
		c.send(t, `{"command":"`+strings.Repeat("x", 100)+`"}`)
	}, code: 1009, text: "frame is longer than 100 bytes"},
	{name: "too many bytes", opts: mgr.Options{Limits: mgr.Limits{MaxBufferedPerPeer: 32 << 10}}, do: func(t *testing.T, c *closeTest) {
		c.send(t, `{"command":"`+strings.Repeat("x", 100<<10)+`"}`)
	}, code: 1013, text: "too many bytes are held for this peer"},
}

func TestCloseFrameHasCodeAndReason(t *testing.T) {
	for _, test := range closeCases {
		t.Run(test.name, func(t *testing.T) {
			c := startCloseTest(t, test)
			test.do(t, c)
			code, text := c.closeFrame(t)
			require.Equal(t, test.code, code, text)
			if test.text != "" {
				require.Equal(t, test.text, text)
			}
		})
	}
}

// closeFrame reads up to the close frame.
func (c *closeTest) closeFrame(t *testing.T) (code int, text string) {
	t.Helper()
	for {
		_, _, err := c.client.ReadMessage()
		if err == nil {
			continue
		}
		var frame *gorilla.CloseError
		require.ErrorAs(t, err, &frame)
		return frame.Code, frame.Text
	}
}

func startCloseTest(t *testing.T, test closeCase) *closeTest {
	t.Helper()
	c := &closeTest{running: make(chan struct{}, 1)}
	opts := test.opts
	opts.Authorizer = allowAll{}
	c.daemon = start(t, &opts, append(newTestCommands().commands(), bigReply(32<<20),
		mgr.Async("endless", "Wait until cancelled.", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			c.running <- struct{}{}
			<-ctx.Done()
			return mgr.None{}, context.Cause(ctx)
		}))...)
	tr := test.tr
	tr.Address, tr.Insecure = "127.0.0.1:0", true
	tr.Identify = func(*http.Request) ([]transport.Credential, error) {
		if test.owner {
			return []transport.Credential{subject("self")}, nil
		}
		return []transport.Credential{revocableCred{"user:ann", &c.taken}}, nil
	}
	l, err := c.Open(t.Context(), &tr)
	require.NoError(t, err)
	c.l = l
	c.client = c.open(t)
	require.Eventually(t, func() bool { return len(c.Sessions()) == 1 }, testkit.Timeout, time.Millisecond)
	return c
}

// No close frame can follow a reply that was written in part.
func TestPeerThatDoesNotReadGetsNoCloseFrame(t *testing.T) {
	c := startCloseTest(t, closeCase{opts: mgr.Options{Limits: mgr.Limits{WriteTimeout: time.Microsecond}}})
	c.send(t, `{"command":"big"}`)
	require.Eventually(t, func() bool { return strings.Contains(c.log.String(), "its conn is closed") }, testkit.Timeout, time.Millisecond)
	code, _ := c.closeFrame(t)
	require.Equal(t, gorilla.CloseAbnormalClosure, code)
}

// Each row of the table in PROTOCOL.md is tested, and each code that is tested is in the table.
func TestCloseCodesAreThoseOfTheProtocol(t *testing.T) {
	protocol, err := os.ReadFile("../PROTOCOL.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(protocol), "The close frame says how it ended.")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "### QUIC")
	var rows []int
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{4}) \|`).FindAllStringSubmatch(table, -1) {
		code, err := strconv.Atoi(row[1])
		require.NoError(t, err)
		rows = append(rows, code)
	}
	var tested []int
	for _, test := range closeCases {
		tested = append(tested, test.code)
	}
	slices.Sort(tested)
	require.Equal(t, rows, slices.Compact(tested))
}
