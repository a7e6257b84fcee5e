package http_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport/http"
)

// Clients without good credentials that do not finish their bodies cannot use up the connections: they are evicted.
func TestConnsWithRefusedBodiesAreEvicted(t *testing.T) {
	l := listen(t, &http.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: ann{}, MaxConns: 10})
	some := make([]net.Conn, 100)
	for i := range some {
		some[i] = dialTCP(t, l)
		write(t, some[i], "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"+
			"Authorization: Basic YW5uOndyb25n\r\nContent-Length: 1000\r\n\r\n{")
	}
	var given atomic.Int64
	for _, c := range some { // which of them are the last ten, the scheduler decides
		go func() {
			_, _ = io.Copy(io.Discard, c)
			given.Add(1)
		}()
	}
	require.Eventually(t, func() bool { return given.Load() >= int64(len(some)-10) }, 8*time.Second, time.Millisecond, "each is held for as long as it may be silent")
}
