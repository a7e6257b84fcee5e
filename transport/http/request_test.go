package http_test

import (
	"bufio"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

const command = `{ "command": "x" }`

// An answer is a response that was read to its end.
type answer struct {
	*nethttp.Response
	body string
}

// request returns a good POST with changed header lines: "Name: value" sets a header, and "Name:" removes it.
func request(body string, lines ...string) string {
	head := []string{
		"Host: 127.0.0.1", "Content-Type: application/json", "Authorization: Bearer token",
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		for i, other := range head {
			if strings.HasPrefix(other, name+":") {
				head[i] = ""
			}
		}
		if value != "" {
			head = append(head, line)
		}
	}
	text := "POST / HTTP/1.1\r\n"
	for _, line := range head {
		if line != "" {
			text += line + "\r\n"
		}
	}
	if !strings.Contains(text, "Content-Length") && !strings.Contains(text, "Transfer-Encoding") {
		text += "Content-Length: " + itoa(len(body)) + "\r\n"
	}
	return text + "\r\n" + body
}

// exchange writes text on a new connection and reads one response.
func exchange(t testing.TB, l transport.Listener, text string) answer {
	t.Helper()
	c := dialTCP(t, l)
	write(t, c, text)
	return read(t, bufio.NewReader(c), nethttp.MethodPost)
}

func read(t testing.TB, from *bufio.Reader, method string) answer {
	t.Helper()
	for {
		r, err := nethttp.ReadResponse(from, &nethttp.Request{Method: method})
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		if r.StatusCode != nethttp.StatusContinue {
			return answer{r, string(body)}
		}
	}
}

func TestRequestNeedsCredentials(t *testing.T) {
	refused := make(chan transport.Refusal, 1)
	l := listen(t, &http.Transport{OnRefused: func(r transport.Refusal) { refused <- r }})
	echo(t, l)
	for _, c := range []struct {
		authorization string
		status        int
		claim         string
	}{
		{" Basic YW5uOnNlY3JldA==", 200, ""},
		{" bAsIc   YW5uOnNlY3JldA== ", 200, ""},
		{" Bearer token", 200, ""},
		{" bearer token", 200, ""},
		{"", 401, transport.Claim{}.String()},
		{" Basic YW5uOndyb25n", 401, `the user "ann"`},
		{" Bearer other", 401, "a token"},
		{" Basic", 401, transport.Claim{}.String()},
		{" Basic !", 401, transport.Claim{}.String()},
		{" Bearer", 401, transport.Claim{}.String()},
		{" Digest x", 401, transport.Claim{}.String()},
		{" Basic c2xvdzp4", 429, `the user "slow"`},
	} {
		got := exchange(t, l, request(command, "Authorization:"+c.authorization))
		require.Equal(t, c.status, got.StatusCode, "%q: %s", c.authorization, got.body)
		require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
		switch c.status {
		case 200:
			require.Equal(t, "[ "+command+" ]", got.body)
			require.EqualValues(t, len(got.body), got.ContentLength)
			continue
		case 401:
			require.Equal(t, `{ "result": 401, "text": "Unauthorized" }`, got.body)
			require.Regexp(t, `^Basic realm=`, got.Header.Get("WWW-Authenticate"))
		case 429:
			require.Equal(t, `{ "result": 429, "text": "Too Many Requests" }`, got.body)
			require.Equal(t, "2", got.Header.Get("Retry-After"))
		}
		r := <-refused
		require.Equal(t, "http", r.Transport)
		require.Equal(t, c.claim, r.Claim.String())
		require.NotNil(t, r.Addr)
		require.Error(t, r.Err)
	}
	two := request(command, "Authorization: Bearer token\r\nAuthorization: Bearer token")
	require.Equal(t, 401, exchange(t, l, two).StatusCode)
}

// DNS rebinding: the name of an attacker's page can resolve to the daemon's address, and then it is in the Host header.
func TestRequestNeedsAllowedHost(t *testing.T) {
	l := listen(t, &http.Transport{AllowHosts: []string{"ops.example", "port.example:8000"}})
	echo(t, l)
	for host, status := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8000": 200, "[::1]:1": 200, "localhost": 200, "LOCALHOST:7": 200,
		"ops.example": 200, "Ops.Example:9": 200, "port.example:8000": 200,
		"port.example": 403, "evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403,
		"evil.localhost": 403, "ops.example.evil.example": 403,
	} {
		got := exchange(t, l, request(command, "Host: "+host))
		require.Equal(t, status, got.StatusCode, host)
		got = exchange(t, l, strings.Replace(request(command), "POST /", "POST http://"+host+"/", 1))
		require.Equal(t, status, got.StatusCode, "http://%s", host)
		got = exchange(t, l, "GET /healthz HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		require.Equal(t, status, got.StatusCode, "GET %s", host)
	}
}

// No request that a page of another origin can make a browser send runs a command, whatever credentials the browser has.
func TestPageOfOtherOriginIsRefused(t *testing.T) {
	ran := make(chan string, 1)
	l := listen(t, &http.Transport{})
	serve(t, l, func(c transport.Conn) {
		defer c.Close()
		frame, _ := c.Receive(t.Context(), nil)
		ran <- string(frame)
		_ = c.Send(t.Context(), frame)
	})
	for _, c := range []struct {
		name, text string
		status     int
	}{
		{"a form", request("a=b", "Content-Type: application/x-www-form-urlencoded"), 415},
		{"a form with a file", request("--x\r\n", "Content-Type: multipart/form-data; boundary=x"), 415},
		{"a form of plain text", request(command, "Content-Type: text/plain"), 415},
		{"fetch without a type", request(command, "Content-Type:"), 415},
		{"sendBeacon", request(command, "Content-Type: text/plain;charset=UTF-8", "Origin: https://evil.example"), 403},
		{"an image", "GET /?command=x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer token\r\n\r\n", 405},
		{"a preflight", "OPTIONS / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\n" +
			"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n", 405},
		{"another origin", request(command, "Origin: https://evil.example"), 403},
		{"no origin that has a name", request(command, "Origin: null"), 403},
		{"another port", request(command, "Origin: http://127.0.0.1:1"), 403},
		{"cross-site", request(command, "Sec-Fetch-Site: cross-site"), 403},
		{"same-site", request(command, "Sec-Fetch-Site: same-site"), 403},
		{"in small letters", strings.Replace(request(command, "Origin: null"), "POST", "post", 1), 403},
	} {
		got := exchange(t, l, c.text)
		require.Equal(t, c.status, got.StatusCode, c.name)
		for name := range got.Header {
			require.False(t, strings.HasPrefix(name, "Access-Control"), c.name)
		}
		require.Empty(t, ran, c.name)
	}
	require.Equal(t, 200, exchange(t, l, request(command, "Sec-Fetch-Site: none")).StatusCode)
	require.Equal(t, command, <-ran)
}

func TestContentTypeMustBeJSON(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	for _, c := range []struct {
		line   string
		status int
	}{
		{"Content-Type: application/json; charset=utf-8", 200},
		{"Content-Type: Application/JSON;charset=\"UTF-8\"", 200},
		{"Content-Type: application/json; odata=verbose", 200},
		{"Content-Type: application/json; charset=iso-8859-1", 415},
		{"Content-Type: application/json; charset", 415},
		{"Content-Type: application/jsonx", 415},
		{"Content-Type: application/x-ndjson", 415},
		{"Content-Type: application/json, text/plain", 415},
		{"Content-Type: application/json\r\nContent-Type: application/json", 415},
		{"Content-Encoding: gzip", 415},
	} {
		require.Equal(t, c.status, exchange(t, l, request(command, c.line)).StatusCode, c.line)
	}
}

func TestBodyMustBeOneFrame(t *testing.T) {
	l := listen(t, &http.Transport{MaxFrame: 100})
	echo(t, l)
	long := `"` + strings.Repeat("x", 96) + `"`
	for _, c := range []struct {
		body   string
		status int
		reply  string
	}{
		{"{}", 200, "[ {} ]"},
		{" \r\n\t{} \n", 200, "[ {} ]"},
		{"[ ]", 200, "[ ]"},                       // no list is wrapped
		{"{ not JSON }", 200, "[ { not JSON } ]"}, // a frame, of which the manager says more
		{"# one\n{ /* two */ }// three", 200, "[ {           } ]"},
		{"[" + long + "]", 200, "[" + long + "]"},
		{"[" + long + "]\n", 413, ""},
		{"[" + long + ",1]", 413, ""},
		{"", 400, ""},
		{" ", 400, ""},
		{"5", 400, ""},
		{`"{}"`, 400, ""},
		{"null", 400, ""},
		{"{", 400, ""},
		{`{"}`, 400, ""},
		{"{}{}", 400, ""},
		{"{} x", 400, ""},
		{"{} /x", 400, ""},
		{"\xef\xbb\xbf{}", 400, ""},
	} {
		for _, chunked := range []bool{false, true} {
			text := request(c.body)
			if chunked {
				text = request(chunks(c.body), "Transfer-Encoding: chunked")
			}
			got := exchange(t, l, text)
			require.Equal(t, c.status, got.StatusCode, "%q: %s", c.body, got.body)
			if c.status == 200 {
				require.Equal(t, c.reply, got.body)
			}
		}
	}
}

// chunks returns a body in chunks of at most seven bytes.
func chunks(body string) string {
	text := ""
	for len(body) > 0 {
		n := min(7, len(body))
		text += itoa(n) + "\r\n" + body[:n] + "\r\n"
		body = body[n:]
	}
	return text + "0\r\n\r\n"
}

func TestHealthPaths(t *testing.T) {
	l := listen(t, &http.Transport{})
	get := func(method, path string) answer {
		c := dialTCP(t, l)
		write(t, c, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return read(t, bufio.NewReader(c), method)
	}
	require.Equal(t, 503, get("GET", "/readyz").StatusCode) // Accept was not called
	require.Equal(t, 200, get("GET", "/healthz").StatusCode)
	echo(t, l)
	require.Eventually(t, func() bool { return get("GET", "/readyz").StatusCode == nethttp.StatusOK }, testkit.Timeout, time.Millisecond)
	require.Equal(t, "ok\n", get("GET", "/healthz").body)
	require.Equal(t, "", get("HEAD", "/healthz").body)
	require.Equal(t, 405, get("GET", "/healthz/").StatusCode)
	require.Equal(t, 200, exchange(t, l, strings.Replace(request(command), "/", "/healthz", 1)).StatusCode) // a command
}

// No listener opens without authentication, or without TLS on an address that is not loopback.
func TestListenNeedsAuthentication(t *testing.T) {
	for _, tr := range []*http.Transport{
		{Address: "127.0.0.1:0", Insecure: true},
		{Address: "127.0.0.1:0", Authenticator: ann{}},
		{Address: "0.0.0.0:0", Insecure: true, Authenticator: ann{}},
		{Address: ":0", Insecure: true, Authenticator: ann{}},
	} {
		l, err := tr.Listen(t.Context())
		if err == nil {
			_ = l.Close()
		}
		require.Error(t, err, "%+v", tr.Address)
	}
	_, err := (&http.Transport{Address: "127.0.0.1:0", Insecure: true}).Listen(t.Context())
	require.ErrorAs(t, err, new(*net.OpError))
}
