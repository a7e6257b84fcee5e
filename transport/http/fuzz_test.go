package http_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/http"
)

// FuzzHandler sends any bytes to the handler. All responses are HTTP, a 200 has the frame that a conn has received, and the
// connection ends.
func FuzzHandler(f *testing.F) {
	for _, text := range []string{
		request(command), request(command) + request(command), request("[1] "), request("{"), request("hello"),
		request(chunks(command), "Transfer-Encoding: chunked"), request(command, "Expect: 100-continue"),
		request(command, "Authorization:"), request(command, "Authorization: Basic YW5uOnNlY3JldA=="),
		request(command, "Accept: application/x-ndjson"), request(command, "Origin: null"),
		request(command, "Host: evil.example"), request(command, "Content-Type: application/json; charset=utf-8"),
		request(command, "Content-Length: 5\r\nTransfer-Encoding: chunked"), request(command, "Connection: close"),
		"HEAD /healthz HTTP/1.1\r\nHost: [::1]\r\n\r\nGET /readyz HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST / HTTP/1.1\nHost: [::1]\n\n{}",
	} {
		f.Add([]byte(text))
	}
	l, handler := http.Handler(&http.Transport{Authenticator: ann{}, MaxFrame: 1 << 10})
	var mu sync.Mutex
	var methods, received []string // of one input at a time
	echo := func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			frame, err := c.Receive(context.Background(), nil)
			if err == nil {
				mu.Lock()
				received = append(received, string(frame))
				mu.Unlock()
				_ = c.Send(context.Background(), frame)
			}
			_ = c.Close()
		}
	}
	var echoing sync.WaitGroup
	echoing.Go(echo)
	f.Cleanup(func() {
		_ = l.Close()
		echoing.Wait()
	})
	f.Fuzz(func(t *testing.T, in []byte) {
		methods, received = nil, nil
		out := answers(t, in, nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
			methods = append(methods, r.Method)
			handler.ServeHTTP(w, r)
		}))
		from := bufio.NewReader(bytes.NewReader(out))
		for n := 0; ; n++ {
			if _, err := from.Peek(1); err == io.EOF {
				break
			}
			method := nethttp.MethodPost
			if n < len(methods) {
				method = methods[n]
			}
			got := read(t, from, method)
			require.Contains(t, []int{200, 400, 401, 403, 405, 408, 413, 415, 417, 431, 501, 503, 505}, got.StatusCode, "%q", out)
			if got.StatusCode == nethttp.StatusOK && strings.EqualFold(method, nethttp.MethodPost) && n < len(methods) {
				frame := strings.TrimSuffix(got.body, "\n")
				if strings.HasPrefix(frame, "[ ") && frame != received[0] {
					frame = frame[len("[ ") : len(frame)-len(" ]")]
				}
				require.Equal(t, received[0], frame)
				received = received[1:]
			}
		}
		require.Empty(t, received)
	})
}

// answers returns the responses of a server to some bytes and their end.
func answers(t *testing.T, in []byte, handler nethttp.Handler) []byte {
	t.Helper()
	closed := make(chan struct{})
	place := &once{conns: make(chan net.Conn, 1), closed: closed}
	conn := &memory{in: bytes.NewReader(in)}
	place.conns <- conn
	server := &nethttp.Server{
		Handler: handler, MaxHeaderBytes: 1 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		ConnState: func(_ net.Conn, s nethttp.ConnState) {
			if s == nethttp.StateClosed {
				close(closed)
			}
		},
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(place) })
	select {
	case <-closed:
	case <-time.After(testkit.Timeout):
		t.Fatal("it hangs")
	}
	_ = server.Close()
	serving.Wait()
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.out.Bytes()
}

// once is a listener of one connection.
type once struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

func (*once) Close() error   { return nil }
func (*once) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv6loopback} }

// memory is a connection whose bytes have all arrived.
type memory struct {
	net.Conn
	in  *bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (m *memory) Read(p []byte) (int, error) { return m.in.Read(p) }

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.Write(p)
}

func (*memory) Close() error                     { return nil }
func (*memory) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv6loopback} }
func (*memory) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv6loopback} }
func (*memory) SetDeadline(time.Time) error      { return nil }
func (*memory) SetReadDeadline(time.Time) error  { return nil }
func (*memory) SetWriteDeadline(time.Time) error { return nil }
