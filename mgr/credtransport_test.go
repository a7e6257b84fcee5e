package mgr_test

import (
	"context"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A credTransport is a pipe whose conns have the credentials creds.
type credTransport struct {
	*pipe.Transport
	creds   []transport.Credential
	session string // the session of all conns; empty: each has its own

	reserved atomic.Bool // its conns have descriptors of the reserve
}

// A subject is a credential with this subject.
type subject string

func (s subject) Subject() string { return string(s) }

// A revocableCred is a credential that a test can revoke.
type revocableCred struct {
	subject
	taken *atomic.Bool
}

func (p revocableCred) Revoked() bool { return p.taken.Load() }

func (d *credTransport) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := d.Transport.Listen(ctx)
	return credListener{l, d}, err
}

type credListener struct {
	transport.Listener
	as *credTransport
}

func (l credListener) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return credConn{conn, l.as, l.as.reserved.Load()}, nil
}

type credConn struct {
	transport.Conn
	as       *credTransport
	reserved bool
}

func (c credConn) InReserve() bool { return c.reserved }

func (c credConn) Peer() transport.Peer {
	peer := c.Conn.Peer()
	peer.Creds = c.as.creds
	if c.as.session != "" {
		peer.Session = c.as.session
	}
	return peer
}

// openAs opens one more listener, whose peers have creds, and returns a daemon whose dial connects to it.
func (d *daemon) openAs(endpoint mgr.ListenerConfig, creds ...transport.Credential) *daemon {
	d.t.Helper()
	return d.openWith(endpoint, &credTransport{creds: creds})
}

func (d *daemon) openWith(endpoint mgr.ListenerConfig, as *credTransport) *daemon {
	d.t.Helper()
	other := &daemon{t: d.t, tr: pipe.New()}
	as.Transport = other.tr
	endpoint.Transport = as
	_, err := d.Open(d.t.Context(), &endpoint)
	require.NoError(d.t, err)
	return other
}
