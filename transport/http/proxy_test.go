package http_test

import (
	"context"
	"io"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// addressBook is an Authenticator that notes the addresses of claims.
type addressBook struct {
	ann
	mu   sync.Mutex
	from []string
}

func (a *addressBook) Authenticate(ctx context.Context, c transport.Claim) ([]transport.Credential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.from = append(a.from, c.From.String())
	return a.ann.Authenticate(ctx, c)
}

func TestRequestHasTheAddressThatATrustedProxyReports(t *testing.T) {
	here, elsewhere := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, test := range []struct {
		name         string
		trusted      []netip.Prefix
		protocol     bool // PROXY instead of X-Forwarded-For
		send         string
		header, want string
		status       string
	}{
		{"a trusted proxy", here, false, "", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", "200"},
		{"a client that says it is loopback", here, false, "", "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n", "203.0.113.9", "200"},
		{"two headers", here, false, "", "X-Forwarded-For: ::1\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", "200"},
		{"no header", here, false, "", "", "127.0.0.1:", "200"},
		{"no trusted proxy", elsewhere, false, "", "X-Forwarded-For: 203.0.113.9\r\n", "127.0.0.1:", "200"},
		{"none configured", nil, false, "", "X-Forwarded-For: 203.0.113.9\r\n", "127.0.0.1:", "200"},
		{"malformed", here, false, "", "X-Forwarded-For: 203.0.113.9, nonsense\r\n", "", "400"},
		{"PROXY", here, true, "PROXY TCP4 203.0.113.9 127.0.0.1 40000 80\r\n", "", "203.0.113.9:40000", "200"},
		{"PROXY, and a header of the client's", here, true, "PROXY TCP4 127.0.0.9 127.0.0.1 40000 80\r\n", "X-Forwarded-For: 203.0.113.1\r\n", "127.0.0.9:40000", "200"},
		{"PROXY, but no trusted proxy", elsewhere, true, "PROXY TCP4 203.0.113.9 127.0.0.1 40000 80\r\n", "", "", "400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			auth := &addressBook{}
			refusals := make(chan transport.Refusal, 9)
			l := listen(t, &http.Transport{
				Authenticator: auth, TrustedProxies: test.trusted, ProxyProtocol: test.protocol,
				OnRefused: func(r transport.Refusal) { refusals <- r },
			})
			serve(t, l, func(c transport.Conn) {
				defer c.Close()
				_, err := c.Receive(context.Background(), nil)
				require.NoError(t, err)
				_ = c.Send(context.Background(), []byte(`"`+c.Peer().Addr.String()+`"`))
			})
			c := dialTCP(t, l)
			write(t, c, test.send+"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n"+
				"Authorization: Basic YW5uOnNlY3JldA==\r\n"+test.header+"\r\n{}")
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 "+test.status), "%s", answer)
			if test.want == "" {
				require.Empty(t, auth.from)
				return
			}
			require.Contains(t, string(answer), `"`+test.want)
			require.Len(t, auth.from, 1)
			require.Contains(t, auth.from[0], test.want)
		})
	}
}

// A malformed header is reported with the reason and the proxy's address.
func TestMalformedForwardedHeaderIsReported(t *testing.T) {
	refusals := make(chan transport.Refusal, 1)
	l := listen(t, &http.Transport{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, OnRefused: func(r transport.Refusal) { refusals <- r },
	})
	r, err := nethttp.NewRequest(nethttp.MethodPost, "http://"+l.Addr().String(), strings.NewReader("{}"))
	require.NoError(t, err)
	r.Header.Set("X-Forwarded-For", "nonsense")
	r.Close = true
	answer, err := nethttp.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, nethttp.StatusBadRequest, answer.StatusCode)
	refusal := <-refusals
	require.ErrorContains(t, refusal.Err, `malformed X-Forwarded-For header from the trusted proxy 127.0.0.1`)
	require.Contains(t, refusal.Addr.String(), "127.0.0.1:")
}
