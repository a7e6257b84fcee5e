package accept_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"

	"github.com/stretchr/testify/require"
)

func TestProxyHeaderThatIsLateIsRefused(t *testing.T) {
	for _, part := range []string{"", "PROXY TCP4 192.0.2.", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"} {
		refusals := make(chan transport.Refusal, 1)
		l, err := accept.Listen(t.Context(), accept.Config{
			Transport: "tcp", Address: "127.0.0.1:0", Insecure: true, HandshakeTimeout: 50 * time.Millisecond,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, ProxyProtocol: true,
			OnRefused: func(r transport.Refusal) { refusals <- r },
		})
		require.NoError(t, err)
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(c, part)
		require.NoError(t, err)
		require.ErrorIs(t, (<-refusals).Err, os.ErrDeadlineExceeded, "%q", part)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection was closed")
		require.NoError(t, c.Close())
		require.NoError(t, l.Close())
	}
}

// A connection that waits for the header of a proxy can be evicted, as one in its TLS handshake can.
func TestSilentProxyIsEvictedByNewerConnections(t *testing.T) {
	l, err := accept.Listen(t.Context(), accept.Config{
		Transport: "tcp", Address: "127.0.0.1:0", Insecure: true, MaxHandshakes: 4,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, ProxyProtocol: true,
	})
	require.NoError(t, err)
	defer l.Close()
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
	}
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 5 6\r\n")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := l.Accept(ctx)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.7:5", conn.RemoteAddr().String())
	require.NoError(t, conn.Close())
}
