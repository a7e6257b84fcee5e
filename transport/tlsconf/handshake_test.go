package tlsconf_test

import (
	"crypto/tls"
	"testing"

	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// After Auto in a new folder, client and daemon trust each other, and the second handshake resumes.
func TestAutoMakesClientAndServerThatTrustEachOther(t *testing.T) {
	dir := t.TempDir()
	s, err := tlsconf.Auto(dir, nil)
	require.NoError(t, err)
	server, err := s.Config(tls.RequireAndVerifyClientCert, "rudderpost.v1")
	require.NoError(t, err)
	c := tlsconf.ClientFrom(dir, "")
	for i := range 3 {
		client, err := c.Config("localhost", "rudderpost.v1")
		require.NoError(t, err)
		o := connect(t, server, client).ok(t)
		require.Equal(t, i > 0, o.atServer.DidResume)
		creds := tlsconf.Creds(o.atServer)
		require.Equal(t, "cert:admin", creds[0].Subject())
		require.Len(t, creds, 2)
		require.EqualValues(t, tls.VersionTLS13, o.atServer.Version)
		require.Equal(t, "rudderpost.v1", o.atServer.NegotiatedProtocol)
	}
}
