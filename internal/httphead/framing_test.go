package httphead_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/httphead"

	"github.com/stretchr/testify/require"
)

func TestFramingFindsBothHeadersHoweverTheyAreSplit(t *testing.T) {
	const body = "5\r\nhello\r\n0\r\n\r\n"
	for _, test := range []struct {
		name, head string
		closes     bool
	}{
		{"length alone", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", false},
		{"chunks alone", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"both", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"both, the other way round", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", true},
		{"both, in other letters", "POST / HTTP/1.1\r\nHost: x\r\ntRANSFER-eNCODING:chunked\r\ncOnTeNt-LeNgTh:5\r\n\r\n", true},
		{"both, lines that end with LF", "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nContent-Length: 5\n\n", true},
		{"headers with similar names", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 5\r\nContent-Lengths: 5\r\n" +
			"Content-Leng: th\r\nContent-Type: Content-Length: 5\r\n\r\n", false},
		{"HTTP/1.0 with a length", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", false},
		{"HTTP/1.0 with chunks", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := test.head + body
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			require.NoError(t, err)
			for split := range len(text) {
				var f httphead.Framing
				f.Scan([]byte(text[:split]))
				f.Scan([]byte(text[split:]))
				require.Equal(t, test.closes, f.CloseAfter(r), "split at %d", split)
			}
		})
	}
}

// Each transition of Framing's table. A header is forgotten when net/http has read all of its request, and not
// when a part of it may still be in net/http's buffer.
func TestFramingForgetsHeadersOfEarlierRequestsOnly(t *testing.T) {
	chunked := &http.Request{ProtoMajor: 1, ProtoMinor: 1, TransferEncoding: []string{"chunked"}}
	const length = "POST / HTTP/1.1\r\nContent-Length: 5\r\n"

	var f httphead.Framing
	f.Scan([]byte(length + "\r\nhello"))
	require.False(t, f.ReadDeadline(), "of the body")
	require.True(t, f.CloseAfter(chunked), "it is being served")
	f.Idle()
	require.True(t, f.CloseAfter(chunked), "the next one may have come with it")
	require.True(t, f.ReadDeadline(), "the idle timeout")
	require.True(t, f.CloseAfter(chunked), "nothing has been read since")
	f.Scan([]byte("POST / HTTP/1.1\r\n"))
	require.False(t, f.CloseAfter(chunked), "what is read while net/http waits is the next request")
	require.False(t, f.ReadDeadline(), "four bytes of it are here")
	f.Scan([]byte("Content-Length: 5\r\n\r\nhello" + length)) // two requests, one of them not whole
	f.Idle()
	require.True(t, f.ReadDeadline())
	require.False(t, f.ReadDeadline(), "the next request was in the buffer, and nothing had to be read")
	f.Scan([]byte("Transfer-Encoding: chunked\r\n\r\n"))
	require.True(t, f.CloseAfter(chunked))
}

// FuzzFraming: what net/http takes for a request with both headers is one.
func FuzzFraming(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 20)
	f.Add("\r\nPOST / HTTP/1.1\nHost: x\nTransfer-encoding:chunked\ncontent-length:5\n\n", 1)
	f.Fuzz(func(t *testing.T, text string, split int) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil || len(r.TransferEncoding) == 0 {
			return
		}
		length, _, _ := strings.Cut(strings.ReplaceAll(text, "\r", ""), "\n\n")
		both := false
		for i, line := range strings.Split(length, "\n") {
			name, _, _ := strings.Cut(line, ":")
			both = both || i > 0 && strings.EqualFold(name, "Content-Length")
		}
		var framing httphead.Framing
		split = max(0, min(split, len(text)))
		framing.Scan([]byte(text[:split]))
		framing.Scan([]byte(text[split:]))
		if both {
			require.True(t, framing.CloseAfter(r), "%q", text)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	text := []byte("POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 39\r\n" +
		"Content-Type: application/json\r\nAuthorization: Bearer rpt_0123456789abcdef0123456789abcdef\r\nAccept-Encoding: gzip\r\n\r\n" +
		`{"command":"list-commands","arguments":{}}`)
	var f httphead.Framing
	for b.Loop() {
		f.Idle()
		f.ReadDeadline()
		f.Scan(text)
	}
}
