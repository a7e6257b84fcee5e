package quic_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport/quic"
)

// A deafSocket sends, and receives only the first packets. Its client begins a handshake and never completes it.
type deafSocket struct{ net.PacketConn }

func (s deafSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := s.PacketConn.ReadFrom(p)
		if err != nil || n > 5 && isRetry(p[:n]) {
			return n, addr, err
		}
	}
}

// Half-open handshakes of one address do not lock out its other clients: the oldest is evicted, and an established
// connection stays. (Before, 128 of them locked out all clients at the address for 5 s.)
func TestHalfOpenHandshakesDoNotLockOutTheirAddress(t *testing.T) {
	at := place(t)
	at.MaxPerSource = 16
	l := listen(t, at)
	serveEcho(l)
	before := dial(t, to(t, l.Addr()))
	config, err := client(t, "ops.example").Config("127.0.0.1", quic.Protocol)
	require.NoError(t, err)
	for range 4 * at.MaxPerSource {
		sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		tr := &quicgo.Transport{Conn: deafSocket{sock}}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = tr.Dial(ctx, l.Addr(), config, &quicgo.Config{})
		cancel()
		require.Error(t, err)
		t.Cleanup(func() { _ = sock.Close(); _ = tr.Close() })
	}
	for i := range 3 {
		began := time.Now()
		c := dial(t, to(t, l.Addr()))
		send(t, c, fmt.Sprintf(`{"n":%d}`, i))
		require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), receive(t, c))
		require.Less(t, time.Since(began), 4*time.Second)
	}
	send(t, before, "{}")
	require.Equal(t, "{}", receive(t, before), "a proven client keeps its connection")
}
