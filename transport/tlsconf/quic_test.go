package tlsconf_test

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
)

// The same rules hold over QUIC.
func TestRulesHoldOverQUIC(t *testing.T) {
	s := newSite(t)
	config, err := s.server.Config(tls.RequireAndVerifyClientCert, "rudderpost.v1")
	require.NoError(t, err)
	l, err := quic.ListenAddr("127.0.0.1:0", config, nil)
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Timeout)
	defer cancel()
	dial := func() (tls.ConnectionState, error) {
		config, err := s.client.Config("localhost", "rudderpost.v1")
		require.NoError(t, err)
		tickets := &counted{ClientSessionCache: config.ClientSessionCache, put: make(chan struct{}, 10)}
		config.ClientSessionCache = tickets
		conn, err := quic.DialAddr(ctx, l.Addr().String(), config, nil)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.CloseWithError(0, "")
		// In TLS 1.3 the handshake of a client may be complete when the daemon refuses it.
		accepting, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(conn.Context(), cancel)()
		server, err := l.Accept(accepting)
		if err != nil {
			return tls.ConnectionState{}, context.Cause(conn.Context())
		}
		select {
		case <-tickets.put:
			return server.ConnectionState().TLS, nil
		case <-ctx.Done():
			return tls.ConnectionState{}, ctx.Err()
		}
	}
	state, err := dial()
	require.NoError(t, err)
	require.Equal(t, "cert:admin", tlsconf.Creds(state)[0].Subject())
	require.Equal(t, "rudderpost.v1", state.NegotiatedProtocol)
	state, err = dial()
	require.NoError(t, err)
	require.True(t, state.DidResume)
	require.Equal(t, "cert:admin", tlsconf.Creds(state)[0].Subject())

	require.NoError(t, s.ca.Revoke("admin"))
	_, err = dial()
	require.ErrorContains(t, err, "bad certificate")

	// The error of a client says why it refuses the daemon.
	s.client.ServerName = "elsewhere"
	_, err = dial()
	var verify *tlsconf.VerifyError
	require.ErrorAs(t, err, &verify)
	require.ErrorContains(t, verify, "not for elsewhere")
}

// counted reports when a session ticket was received.
type counted struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c *counted) Put(key string, session *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, session)
	if session != nil {
		c.put <- struct{}{}
	}
}
