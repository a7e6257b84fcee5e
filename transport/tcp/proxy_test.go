package tcp_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tcp"

	"github.com/stretchr/testify/require"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

const proxyHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"

// headerProxy starts a proxy that forwards one connection and sends a header first.
func headerProxy(t *testing.T, to net.Addr, header string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to.String())
		if err != nil {
			_ = client.Close()
			return
		}
		_, _ = io.WriteString(server, header)
		go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	return l.Addr().String()
}

func TestPeerHasTheAddressThatATrustedProxyReports(t *testing.T) {
	id := newIdentity(t)
	for name, at := range map[string]*tcp.Transport{
		"tcp": {Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor"},
		"tls": {Address: "127.0.0.1:0", TLS: id.server},
	} {
		for header, want := range map[string]string{proxyHeader: "192.0.2.7:40000", "PROXY UNKNOWN\r\n": "127.0.0.1"} {
			at.TrustedProxies, at.ProxyProtocol = loopback, true
			l := listen(t, at)
			dialer := &tcp.Transport{Address: headerProxy(t, l.Addr(), header)}
			if at.TLS != nil {
				dialer.Client = id.client
			}
			client, err := dialer.Dial(t.Context())
			require.NoError(t, err, name)
			server, err := l.Accept(t.Context())
			require.NoError(t, err, name)
			require.Contains(t, server.Peer().Addr.String(), want, name)
			require.NoError(t, client.Send(t.Context(), []byte(`{"command":"x"}`)), name)
			frame, err := server.Receive(t.Context(), nil)
			require.NoError(t, err, name)
			require.Equal(t, `{"command":"x"}`, string(frame), name)
			require.NoError(t, client.Close())
			require.NoError(t, server.Close())
			require.NoError(t, l.Close())
		}
	}
}

// A header is refused when it is malformed, missing, or sent from an address that is no trusted proxy.
func TestBadProxyHeaderIsRefusedWithAReason(t *testing.T) {
	id := newIdentity(t)
	for _, test := range []struct {
		name, send, want string
		trusted          []netip.Prefix
	}{
		{"malformed", "PROXY TCP4 nonsense\r\n", "malformed PROXY protocol header", loopback},
		{"missing", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00", "does not begin with a PROXY protocol header", loopback},
		{"not trusted", proxyHeader, "no trusted proxy here", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{"not trusted, version 2", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "no trusted proxy here", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	} {
		refusals := make(chan transport.Refusal, 1)
		l := listen(t, &tcp.Transport{
			Address: "127.0.0.1:0", TLS: id.server, TrustedProxies: test.trusted, ProxyProtocol: true,
			OnRefused: func(r transport.Refusal) { refusals <- r },
		})
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, test.send)
		require.NoError(t, err)
		r := <-refusals
		require.ErrorContains(t, r.Err, test.want, test.name)
		require.Equal(t, c.LocalAddr().String(), r.Addr.String(), test.name)
		_, err = io.Copy(io.Discard, c)
		_ = c.Close()
		_ = err // an alert and the end, or a reset
	}
}

// A proxy that sends no header does not delay other connections.
func TestSilentProxyDoesNotDelayOtherConns(t *testing.T) {
	l := listen(t, &tcp.Transport{Address: "127.0.0.1:0", Insecure: true, Anonymous: "monitor", TrustedProxies: loopback, ProxyProtocol: true})
	silent, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer silent.Close()
	half, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer half.Close()
	_, err = io.WriteString(half, "PROXY TCP4 192.")
	require.NoError(t, err)
	client, err := (&tcp.Transport{Address: headerProxy(t, l.Addr(), proxyHeader)}).Dial(t.Context())
	require.NoError(t, err)
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	require.Equal(t, "192.0.2.7:40000", server.Peer().Addr.String())
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
}
