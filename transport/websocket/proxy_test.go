package websocket_test

import (
	"net/http"
	"net/netip"
	"testing"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func TestConnHasTheAddressThatATrustedProxyReports(t *testing.T) {
	at := daemon()
	at.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	l := listen(t, at)
	shake := func(forwarded string) (*gorilla.Conn, *http.Response, error) {
		return gorilla.DefaultDialer.DialContext(timeout(t), "ws://"+l.Addr().String(), http.Header{
			"Authorization": {"Bearer sesame"}, "X-Forwarded-For": {forwarded},
		})
	}
	c, _, err := shake("127.0.0.1, 203.0.113.9")
	require.NoError(t, err)
	require.Equal(t, "203.0.113.9", accept(t, l).Peer().Addr.String())
	require.NoError(t, c.Close())
	_, answer, err := shake("nonsense")
	require.Error(t, err)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
}
