package http

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A listener makes conns of requests, which its server brings.
type listener struct {
	kind   string
	auth   httpauth.RequestAuth
	pages  *http.CrossOriginProtection
	limits func() transport.FrameLimits // with their defaults

	memory    transport.Memory
	server    *httpauth.Server // nil in tests that bring the requests themselves
	conns     chan *conn
	accepting atomic.Bool // somebody has asked for conns
	closed    chan struct{}
	close     func() error
}

func newListener(ctx context.Context, t *Transport) *listener {
	l := &listener{
		memory: transport.MemoryOf(ctx),
		kind:   kind(t.TLS != nil),
		pages:  http.NewCrossOriginProtection(),
		limits: func() transport.FrameLimits {
			limits := t.limits()
			return transport.FrameLimits{
				MaxFrame: cmp.Or(limits.MaxFrame, transport.DefaultMaxFrame),
				Idle:     limit(limits.Idle, defaultIdle), FrameTimeout: limit(limits.FrameTimeout, defaultFrameTimeout),
			}
		},
		conns:  make(chan *conn),
		closed: make(chan struct{}),
	}
	l.auth = httpauth.RequestAuth{
		Transport: l.kind, AllowHosts: t.AllowHosts,
		Authenticator: t.Authenticator, OnRefused: t.OnRefused,
	}
	if !t.ProxyProtocol {
		l.auth.TrustedProxies = t.TrustedProxies
	}
	l.close = sync.OnceValue(l.shut)
	return l
}

// Accept implements transport.Listener.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	l.accepting.Store(true)
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// offer waits until a conn is accepted. It is false when nobody will.
func (l *listener) offer(c *conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.closed:
		return false
	}
}

// Close implements transport.Listener. Requests whose conns were handed out are answered; all others
// that arrive on living connections are told 503.
func (l *listener) Close() error { return l.close() }

func (l *listener) shut() error {
	close(l.closed)
	if l.server == nil {
		return nil
	}
	return l.server.Close()
}

// isOpen reports whether commands are taken.
func (l *listener) isOpen() bool {
	select {
	case <-l.closed:
		return false
	default:
		return l.accepting.Load()
	}
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.server.Addr() }
