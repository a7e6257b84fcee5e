package websocket_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
)

// An opener has the request of a client: "GET / HTTP/1.1" and header lines. A line replaces the good line of the same name;
// with a plus in front it is added. A line without a value removes the name.
type opener []string

func (o opener) String() string {
	lines := strings.Split(strings.TrimSuffix(opening, "\r\n"), "\r\n")
	for _, line := range o {
		name, value, header := strings.Cut(line, ":")
		if !header {
			lines[0] = line
			continue
		}
		line, another := strings.CutPrefix(line, "+")
		var others []string
		for _, l := range lines {
			if other, _, _ := strings.Cut(l, ":"); !strings.EqualFold(other, name) || another {
				others = append(others, l)
			}
		}
		if lines = others; value != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// An answer is the response to an opener.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // the connection ends with it
}

// ask opens a connection, sends an opener, and returns the response.
func ask(t testing.TB, addr net.Addr, o opener) answer {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testkit.Timeout))
	_, err = io.WriteString(c, o.String())
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode == http.StatusSwitchingProtocols {
		return answer{status: r.StatusCode, header: r.Header}
	}
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	return answer{r.StatusCode, r.Header, string(body), r.Close}
}

// refusals collects the refusals of a listener.
type refusals struct {
	mu  sync.Mutex
	all []transport.Refusal
}

func (r *refusals) add(one transport.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
}

// take returns the refusals since the last call.
func (r *refusals) take() []transport.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

func basic(text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

const unauthorized = `{ "result": 401, "text": "Unauthorized" }`

func TestHandshake(t *testing.T) {
	var refused refusals
	at := daemon()
	at.Path = "/control"
	at.OnRefused = refused.add
	at.AllowHosts = []string{"daemon.example", "other.example:8443"}
	at.AllowOrigins = []string{"https://page.example", "http://localhost:7080", "https://xn--bcher-kva.example"}
	l := listen(t, at)
	const page = "Origin: https://page.example"
	const named = "Sec-WebSocket-Protocol: rudderpost.v1"
	for _, test := range []struct {
		name   string
		ask    opener
		status int
		text   string // somewhere in the body
	}{
		{"as it should be", nil, 101, ""},
		{"query", opener{"GET /control?x=1 HTTP/1.1"}, 101, ""},
		{"words in any case", opener{"connection: keep-alive, uPGRADE", "upgrade: WebSocket"}, 101, ""},

		{"path", opener{"GET / HTTP/1.1"}, 404, `there is nothing at \"/\"`},
		{"path below", opener{"GET /control/ HTTP/1.1"}, 404, ""},
		{"POST", opener{"POST /control HTTP/1.1"}, 405, "GET"},
		{"OPTIONS of a page", opener{"OPTIONS /control HTTP/1.1", page}, 405, "GET"},
		{"no upgrade", opener{"Upgrade:"}, 426, "version 13"},
		{"no connection upgrade", opener{"Connection: keep-alive"}, 426, "version 13"},
		{"h2c", opener{"Upgrade: h2c"}, 426, "version 13"},
		{"old version", opener{"Sec-WebSocket-Version: 8"}, 426, "version 13"},
		{"no version", opener{"Sec-WebSocket-Version:"}, 426, "version 13"},
		{"a body", opener{"Content-Length: 2"}, 400, "body"},
		{"a body in chunks", opener{"Transfer-Encoding: chunked"}, 400, "body"},
		{"no key", opener{"Sec-WebSocket-Key:"}, 400, "Key"},
		{"short key", opener{"Sec-WebSocket-Key: AAAA"}, 400, "Key"},

		{"host by name", opener{"Host: daemon.example"}, 101, ""},
		{"host by name and port", opener{"Host: daemon.example:7080"}, 101, ""},
		{"host in capitals", opener{"Host: DAEMON.example"}, 101, ""},
		{"host with its port", opener{"Host: other.example:8443"}, 101, ""},
		{"host with another port", opener{"Host: other.example:80"}, 403, "allow-hosts"},
		{"localhost", opener{"Host: localhost:7080"}, 101, ""},
		{"address of version 6", opener{"Host: [::1]:7080"}, 101, ""},
		{"rebound name", opener{"Host: evil.example"}, 403, "evil.example"},
		{"rebound name with its origin", opener{"Host: evil.example", "Origin: http://evil.example", named}, 403, "allow-hosts"},
		{"name in front of ours", opener{"Host: daemon.example.evil.example"}, 403, "allow-hosts"},
		{"name behind ours", opener{"Host: evildaemon.example"}, 403, "allow-hosts"},
		{"localhost in front", opener{"Host: localhost.evil.example"}, 403, "allow-hosts"},
		{"address in front", opener{"Host: 127.0.0.1.evil.example"}, 403, "allow-hosts"},

		{"page", opener{page, named}, 101, ""},
		{"page with a cookie", opener{page, named, "Cookie: a=b"}, 101, ""},
		{"page with a port", opener{"Origin: http://localhost:7080", named}, 101, ""},
		{"page with another name", opener{"Origin: https://xn--bcher-kva.example", named}, 101, ""},
		{"its name in letters", opener{"Origin: https://bücher.example", named}, 403, "allow-origins"},
		{"null", opener{"Origin: null", named}, 403, `the origin \"null\" is not allowed: a page from a file or in a sandbox has it; serve the page from a host, and add its origin to allow-origins`},
		{"null with a cookie", opener{"Origin: null", named, "Cookie: a=b"}, 403, "allow-origins"},
		{"cookie without origin", opener{"Cookie: a=b", named}, 403, "the request has a cookie and no Origin header; a browser must send the Origin of its page, which allow-origins lists, and a program must send no cookie, but its credentials in the Authorization header"},
		{"no scheme", opener{"Origin: page.example", named}, 403, "allow-origins"},
		{"other scheme", opener{"Origin: http://page.example", named}, 403, "allow-origins"},
		{"other port", opener{"Origin: https://page.example:444", named}, 403, "allow-origins"},
		{"port that goes without saying", opener{"Origin: https://page.example:443", named}, 403, "allow-origins"},
		{"path behind", opener{"Origin: https://page.example/", named}, 403, "allow-origins"},
		{"dot behind", opener{"Origin: https://page.example.", named}, 403, "allow-origins"},
		{"capitals", opener{"Origin: https://PAGE.example", named}, 403, "allow-origins"},
		{"suffix", opener{"Origin: https://page.example.evil.example", named}, 403, "allow-origins"},
		{"prefix", opener{"Origin: https://evilpage.example", named}, 403, "allow-origins"},
		{"below", opener{"Origin: https://x.page.example", named}, 403, "allow-origins"},
		{"our own address", opener{"Origin: http://127.0.0.1", named}, 403, "allow-origins"},
		{"two in one", opener{"Origin: https://page.example https://evil.example", named}, 403, "allow-origins"},
		{"two", opener{page, "+Origin: https://evil.example", named}, 403, "the request has 2 Origin headers"},

		{"subprotocol", opener{named}, 101, ""},
		{"subprotocol among others", opener{"Sec-WebSocket-Protocol: mqtt, rudderpost.v1 ,chat"}, 101, ""},
		{"subprotocol in a second line", opener{"Sec-WebSocket-Protocol: mqtt", "+" + named}, 101, ""},
		{"other subprotocol", opener{"Sec-WebSocket-Protocol: mqtt"}, 400, "rudderpost.v1"},
		{"newer subprotocol", opener{"Sec-WebSocket-Protocol: rudderpost.v10"}, 400, "rudderpost.v1"},
		{"page without subprotocol", opener{page}, 400, "rudderpost.v1"},

		{"user", opener{basic("ann:pass:word")}, 101, ""},
		{"no credentials", opener{"Authorization:"}, 401, unauthorized},
		{"unknown user", opener{basic("bob:pass:word")}, 401, unauthorized},
		{"wrong password", opener{basic("ann:password")}, 401, unauthorized},
		{"wrong token", opener{"Authorization: Bearer open"}, 401, unauthorized},
		{"token in the subprotocol", opener{"Authorization:", "Sec-WebSocket-Protocol: rudderpost.v1, sesame"}, 401, unauthorized},
		{"token in the query", opener{"GET /control?access_token=sesame HTTP/1.1", "Authorization:"}, 401, unauthorized},
		{"other scheme of authorization", opener{"Authorization: Digest sesame"}, 401, unauthorized},
		{"slowed down", opener{"Authorization: Bearer tired"}, 429, `{ "result": 429, "text": "Too Many Requests" }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_ = refused.take()
			r := ask(t, l.Addr(), append(opener{"GET /control HTTP/1.1"}, test.ask...))
			require.Equal(t, test.status, r.status, r.body)
			require.Contains(t, r.body, test.text)
			require.Empty(t, r.header.Get("Sec-Websocket-Extensions"))
			if answer := r.header.Get("Sec-Websocket-Protocol"); test.status == 101 && strings.Contains(test.name, "subprotocol") {
				require.Equal(t, "rudderpost.v1", answer)
			}
			if test.status == 101 {
				require.NoError(t, accept(t, l).Close())
				require.Empty(t, refused.take())
				return
			}
			all := refused.take()
			require.Len(t, all, 1)
			require.Equal(t, "ws", all[0].Transport)
			require.NotNil(t, all[0].Addr)
			require.Error(t, all[0].Err)
		})
	}
}

// A refusal has these headers.
func TestRefusalHeaders(t *testing.T) {
	l := listen(t, daemon())
	r := ask(t, l.Addr(), opener{"DELETE / HTTP/1.1"})
	require.Equal(t, "GET", r.header.Get("Allow"))
	r = ask(t, l.Addr(), opener{"Upgrade:"})
	require.Equal(t, "websocket", r.header.Get("Upgrade"))
	require.Equal(t, "13", r.header.Get("Sec-Websocket-Version"))
	r = ask(t, l.Addr(), opener{"Authorization:"})
	require.Contains(t, r.header.Get("Www-Authenticate"), "Basic")
	require.True(t, r.last)
	r = ask(t, l.Addr(), opener{"Authorization: Bearer tired"})
	require.Equal(t, "7", r.header.Get("Retry-After"))
}

// Compression is never negotiated: a small message could become a large one.
func TestCompressionIsNotNegotiated(t *testing.T) {
	l := listen(t, daemon())
	r := ask(t, l.Addr(), opener{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"})
	require.Equal(t, http.StatusSwitchingProtocols, r.status)
	require.Empty(t, r.header.Get("Sec-Websocket-Extensions"))
	require.NoError(t, accept(t, l).Close())
}

// A client that sends a frame before the response to its upgrade is refused.
func TestFrameBeforeUpgradeIsRefused(t *testing.T) {
	var refused refusals
	at := daemon()
	at.OnRefused = refused.add
	l := listen(t, at)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, opener{}.String()+string(frame(fin|text, hello)))
	require.NoError(t, err)
	_ = c.SetDeadline(time.Now().Add(testkit.Timeout))
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(refused.take()) == 1 }, testkit.Timeout, time.Millisecond)
}

// The head of an upgrade is limited.
func TestLongHeadIsRefused(t *testing.T) {
	l := listen(t, daemon())
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(testkit.Timeout))
	_, err = io.WriteString(c, opener{"X: " + strings.Repeat("x", 16<<10)}.String())
	require.NoError(t, err)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	_ = r.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, r.StatusCode)
	require.Eventually(t, func() bool { // net/http lingers
		_, err := io.WriteString(c, "x")
		return err != nil
	}, testkit.Timeout, time.Millisecond)
}

// Incomplete upgrades delay no other client, and end with the listener.
func TestIncompleteUpgradesDelayNoOtherClient(t *testing.T) {
	at := daemon()
	l := listen(t, at)
	var halves []net.Conn
	for i := range 100 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = io.WriteString(c, opening[:i*len(opening)/100])
		require.NoError(t, err)
		halves = append(halves, c)
	}
	c := dial(t, ann(l.Addr()))
	send(t, c, hello)
	require.Equal(t, hello, receive(t, accept(t, l)))
	require.NoError(t, l.Close())
	for _, c := range halves {
		_ = c.SetReadDeadline(time.Now().Add(testkit.Timeout))
		_, err := io.Copy(io.Discard, c)
		require.NotErrorIs(t, err, errTimeout)
	}
}
