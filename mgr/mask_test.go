package mgr_test

import (
	"context"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// A mask is a place whose peers pass for somebody.
type mask struct {
	*pipe.Transport
	creds   []transport.Credential
	session string // of all conns; empty: each has its own

	reserved atomic.Bool // its conns have descriptors of the reserve
}

type someone string

func (s someone) Subject() string { return string(s) }

// A pass is a credential that somebody may take away.
type pass struct {
	someone
	taken *atomic.Bool
}

func (p pass) Revoked() bool { return p.taken.Load() }

func (d *mask) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := d.Transport.Listen(ctx)
	return maskedListener{l, d}, err
}

type maskedListener struct {
	transport.Listener
	as *mask
}

func (l maskedListener) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return maskedConn{conn, l.as, l.as.reserved.Load()}, nil
}

type maskedConn struct {
	transport.Conn
	as       *mask
	reserved bool
}

func (c maskedConn) InReserve() bool { return c.reserved }

func (c maskedConn) Peer() transport.Peer {
	peer := c.Conn.Peer()
	peer.Creds = c.as.creds
	if c.as.session != "" {
		peer.Session = c.as.session
	}
	return peer
}

// as opens one more place, whose peers pass for somebody, and returns it.
func (d *daemon) as(endpoint mgr.ListenerConfig, creds ...transport.Credential) *daemon {
	d.t.Helper()
	return d.masked(endpoint, &mask{creds: creds})
}

func (d *daemon) masked(endpoint mgr.ListenerConfig, as *mask) *daemon {
	d.t.Helper()
	other := &daemon{t: d.t, place: pipe.New()}
	as.Transport = other.place
	endpoint.Transport = as
	_, err := d.Open(d.t.Context(), &endpoint)
	require.NoError(d.t, err)
	return other
}
