package http_test

import (
	"bufio"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

func itoa(n int) string { return strconv.FormatInt(int64(n), 10) }

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	c := dialTCP(t, l)
	var all string
	for i := range 100 {
		all += request(`{"n":` + itoa(i) + `}`)
	}
	go func() { _, _ = io.WriteString(c, all) }()
	from := bufio.NewReader(c)
	for i := range 100 {
		require.Equal(t, `[ {"n":`+itoa(i)+`} ]`, read(t, from, "POST").body)
	}
}

// A client that has closed the writing half of its connection receives the response.
func TestHalfClosedClientReceivesResponse(t *testing.T) {
	l := listen(t, &http.Transport{})
	for range 10 {
		c := dialTCP(t, l)
		write(t, c, request(command))
		conn, err := l.Accept(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		for range 100 { // net/http ends the context of the request meanwhile
			runtime.Gosched()
		}
		frame, err := conn.Receive(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, conn.Context().Err())
		require.NoError(t, conn.Send(t.Context(), frame))
		require.NoError(t, conn.Close())
		require.Equal(t, 200, read(t, bufio.NewReader(c), "POST").StatusCode)
	}
}

func TestSlowBodyTimesOut(t *testing.T) {
	refused := make(chan transport.Refusal, 1)
	l := listen(t, &http.Transport{
		Idle: 50 * time.Millisecond, FrameTimeout: 300 * time.Millisecond,
		OnRefused: func(r transport.Refusal) { refused <- r },
	})
	echo(t, l)
	for name, body := range map[string]string{"nothing": "", "space": " ", "a part": "{", "all but the end": "{}"} {
		began := time.Now()
		got := exchange(t, l, request(body, "Content-Length: 100"))
		require.Equal(t, 408, got.StatusCode, name)
		require.Equal(t, `{ "result": 408, "text": "Request Timeout" }`, got.body)
		require.True(t, got.Close)
		require.Greater(t, time.Since(began), 40*time.Millisecond)
		require.Error(t, (<-refused).Err)
	}
	for _, each := range []string{"1\r\n{\r\n", "1\r\n \r\n"} { // one that is never silent, and never ready
		c := dialTCP(t, l)
		write(t, c, request("", "Transfer-Encoding: chunked"))
		go func() {
			for {
				if _, err := io.WriteString(c, each); err != nil {
					return
				}
				<-time.After(5 * time.Millisecond)
			}
		}()
		require.Equal(t, 408, read(t, bufio.NewReader(c), "POST").StatusCode)
		_ = c.Close()
		<-refused
	}
}

// Clients that stop in the middle of a body delay no other client.
func TestStalledBodiesDelayNoOtherClient(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	for range 200 {
		write(t, dialTCP(t, l), request("{", "Content-Length: 1000"))
	}
	require.Equal(t, 200, exchange(t, l, request(command)).StatusCode)
}

func TestIncompleteBodyIsRefused(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	for _, text := range []string{
		request("{", "Content-Length: 100"), request("{}", "Content-Length: 100"),
		request("5\r\n{", "Transfer-Encoding: chunked"), request("2\r\n{}\r\n", "Transfer-Encoding: chunked"),
		request("zz\r\n{}\r\n", "Transfer-Encoding: chunked"),
	} {
		c := dialTCP(t, l)
		write(t, c, text)
		require.NoError(t, c.CloseWrite())
		got := read(t, bufio.NewReader(c), "POST")
		require.Equal(t, 400, got.StatusCode, text)
		require.Contains(t, got.body, `"text": "Bad Request: `)
	}
}

// Memory grows with the bytes that arrive, not with Content-Length.
func TestMemoryGrowsWithReceivedBytes(t *testing.T) {
	l := listen(t, &http.Transport{MaxFrame: 8 << 30})
	echo(t, l)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		c := dialTCP(t, l)
		write(t, c, request("{         ", "Content-Length: 4294967296"))
		require.NoError(t, c.CloseWrite())
		require.Equal(t, 400, read(t, bufio.NewReader(c), "POST").StatusCode)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))

	l = listen(t, &http.Transport{})
	echo(t, l)
	require.Equal(t, 413, exchange(t, l, request("{", "Content-Length: 17000000")).StatusCode) // at once
	got := exchange(t, l, request("{"+strings.Repeat(" ", 17<<20)+"}"))
	require.Equal(t, 413, got.StatusCode)
	require.Equal(t, `{ "result": 413, "text": "Request Entity Too Large: a command has at most 16777216 bytes" }`, got.body)
}

// Two readers of the same bytes must find the same requests (request smuggling, RFC 9112 11.2).
func TestContradictoryLengthsAreRefused(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	for name, text := range map[string]string{
		"two lengths":         request(command, "Content-Length: 18\r\nContent-Length: 5"),
		"a list of lengths":   request(command, "Content-Length: 18, 5"),
		"a signed length":     request(command, "Content-Length: +18"),
		"a hexadecimal one":   request(command, "Content-Length: 0x12"),
		"an endless one":      request(command, "Content-Length: 99999999999999999999"),
		"chunked twice":       request(chunks(command), "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
		"not only chunked":    request(chunks(command), "Transfer-Encoding: gzip, chunked"),
		"almost chunked":      request(chunks(command), "Transfer-Encoding: xchunked"),
		"a space in a name":   request(command, "X Y: 1"),
		"a space behind one":  request(command, "Content-Length : 5"),
		"a NUL":               request(command, "X: \x00"),
		"a bare CR":           request(command, "X: a\rb"),
		"a folded line first": strings.Replace(request(command), "Host", " Host", 1),
		"no host":             request(command, "Host:"),
		"two hosts":           request(command, "Host: 127.0.0.1\r\nHost: localhost"),
	} {
		t.Run(name, func(t *testing.T) {
			got := exchange(t, l, text)
			require.Contains(t, []int{400, 501}, got.StatusCode, "%q", text)
			require.True(t, got.Close, name)
		})
	}
}

// A request with both lengths is answered (its chunks count), and the connection is closed after it: a proxy may have treated
// the bytes behind it as a part of its body (RFC 9112, sections 6.1 and 6.3).
func TestRequestWithLengthAndChunksClosesItsConnection(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	old := func(text string) string { // asks to keep the connection, which HTTP/1.0 does not by itself
		return strings.Replace(text, "HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n", 1)
	}
	for _, test := range []struct {
		name, text string
		status     int
		closes     bool
	}{
		{"both", request(chunks(command), "Transfer-Encoding: chunked\r\nContent-Length: 5"), 200, true},
		{"both, the length first", request(chunks(command), "Content-Length: 5\r\nTransfer-Encoding: chunked"), 200, true},
		{"both, refused before the body", request(chunks(command), "Authorization: Bearer wrong\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"), 401, true},
		{"both, and a GET", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, true},
		{"HTTP/1.0, both", old(request(command, "Content-Length: "+itoa(len(command))+"\r\nTransfer-Encoding: chunked")), 200, true},
		{"chunks", request(chunks(command), "Transfer-Encoding: chunked"), 200, false},
		{"length", request(command), 200, false},
		{"HTTP/1.0, length", old(request(command)), 200, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dialTCP(t, l)
			from := bufio.NewReader(c)
			write(t, c, request(command)) // nothing that came before matters
			require.Equal(t, 200, read(t, from, "POST").StatusCode)
			write(t, c, test.text)
			got := read(t, from, "POST")
			require.Equal(t, test.status, got.StatusCode)
			require.Equal(t, test.closes, got.Close)
			if test.closes {
				_, err := from.ReadByte()
				require.ErrorIs(t, err, io.EOF)
				return
			}
			write(t, c, request(command))
			require.Equal(t, 200, read(t, from, "POST").StatusCode)
		})
	}

	// The head of the second request comes in two parts, the first of them together with the first request.
	c := dialTCP(t, l)
	from := bufio.NewReader(c)
	head, body, _ := strings.Cut(request(chunks(command), "Content-Length: 5\r\nTransfer-Encoding: chunked"), "Transfer-Encoding")
	write(t, c, request(command)+head)
	require.False(t, read(t, from, "POST").Close)
	write(t, c, "Transfer-Encoding"+body)
	require.True(t, read(t, from, "POST").Close)
}

func TestLongHeadIsRefused(t *testing.T) {
	l := listen(t, &http.Transport{})
	echo(t, l)
	require.Equal(t, 200, exchange(t, l, request(command, "X: "+strings.Repeat("x", 3<<10))).StatusCode)
	require.Equal(t, 431, exchange(t, l, request(command, "X: "+strings.Repeat("x", 64<<10))).StatusCode)
}

// When a listener closes, accepted requests are answered, and their connections are closed.
func TestAcceptedRequestsAreAnsweredAfterClose(t *testing.T) {
	l := listen(t, &http.Transport{})
	taken, idle := dialTCP(t, l), dialTCP(t, l)
	write(t, idle, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.Equal(t, 200, read(t, bufio.NewReader(idle), "GET").StatusCode)
	write(t, taken, request(command))
	conn, err := l.Accept(t.Context())
	require.NoError(t, err)
	waiting := dialTCP(t, l)
	write(t, waiting, request(command))
	require.NoError(t, l.Close())
	_, err = io.ReadAll(idle)
	require.NoError(t, err)
	frame, err := conn.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, conn.Send(t.Context(), frame))
	require.NoError(t, conn.Close())
	from := bufio.NewReader(taken)
	got := read(t, from, "POST")
	require.Equal(t, "[ "+command+" ]", got.body)
	require.True(t, got.Close)
	_, err = from.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	if text, _ := io.ReadAll(waiting); len(text) > 0 { // else its request was not seen yet
		require.Regexp(t, `^HTTP/1.1 503 Service Unavailable\r\n(?s:.*)\{ "result": 503, "text": "Service Unavailable" \}$`, string(text))
	}
}
