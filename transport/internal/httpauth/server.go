package httpauth

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/accept"
)

// Config says where a Server listens and what it does.
type Config struct {
	Accept        accept.Config // Protos is ignored
	Handler       http.Handler
	HeaderTimeout time.Duration // for the head of a request. 0: 10 s
	MaxConns      int           // connections at a time; one more evicts an idle one. 0: 1024

	// IdleTimeout returns how long a connection may be idle between two requests. The server calls it each
	// time a connection becomes idle. It must not block. nil: DefaultIdleTimeout.
	IdleTimeout func() time.Duration
}

// DefaultIdleTimeout is how long a connection may be idle between two requests. It is longer than the usual polling
// intervals (10 s to 2 min), and none of them. A poller whose interval equals the timeout sends its next
// request in the moment in which the server closes the connection, and loses that request.
const DefaultIdleTimeout = 150 * time.Second

// A Server serves HTTP/1.1 only. HTTP/2 is not offered, because the WebSocket handshake of RFC 6455 needs HTTP/1.1.
type Server struct {
	cfg      Config
	http     http.Server
	listener *accept.Listener
	idle     *accept.EvictingQueue // connections whose handler does not run

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	once    sync.Once
	err     error // of Close
	serving sync.WaitGroup
}

// maxHeader is the longest head of a request in bytes, without 4 KiB that net/http adds.
const maxHeader = 4 << 10

// Listen opens a Server. The caller must call Close. The errors are those of accept.Listen.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.HeaderTimeout == 0 {
		cfg.HeaderTimeout = 10 * time.Second
	}
	if cfg.IdleTimeout == nil {
		cfg.IdleTimeout = func() time.Duration { return DefaultIdleTimeout }
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 1024
	}
	cfg.Accept.Protos = []string{"http/1.1"}
	l, err := accept.Listen(ctx, cfg.Accept)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, listener: l, idle: accept.NewEvictingQueue(cfg.MaxConns)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		ReadHeaderTimeout:            cfg.HeaderTimeout,
		IdleTimeout:                  DefaultIdleTimeout, // conn.SetReadDeadline replaces it by cfg.IdleTimeout
		MaxHeaderBytes:               maxHeader,
		ConnState:                    s.connState,
		ConnContext:                  withConn,
		Protocols:                    &protocols,
		DisableGeneralOptionsHandler: true, // net/http's own handler answers "OPTIONS *" without authentication
		ErrorLog:                     slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	s.serving.Go(func() { _ = s.http.Serve(httpListener{s}) })
	return s, nil
}

// serve is the handler of all requests.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := connOf(r)
	c.bodyIdle = 0
	c.skipWaitRead.Store(false)
	c.beginRequest()
	if c.accepted.TLS != nil {
		r.TLS = c.accepted.TLS
	}
	if c.framing.CloseAfter(r) {
		w.Header()["Connection"] = []string{"close"}
	}
	s.cfg.Handler.ServeHTTP(w, r)
}

// An httpListener is the listener that net/http accepts from.
type httpListener struct{ *Server }

// Accept implements net.Listener. After a temporary error it waits 5 ms to 1 s and tries again.
func (l httpListener) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		c, err := l.listener.Accept(l.ctx)
		switch {
		case err == nil:
			return l.newConn(c), nil
		case errors.Is(err, net.ErrClosed), l.ctx.Err() != nil:
			return nil, net.ErrClosed
		}
		// The usual reason is that the process has no descriptors left. Another try at once would fail too.
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
			return nil, net.ErrClosed
		}
		pause = min(2*pause, time.Second)
	}
}

// Close implements net.Listener.
func (l httpListener) Close() error { return nil }

// Addr implements net.Listener.
func (l httpListener) Addr() net.Addr { return l.listener.Addr() }

// newConn returns an accepted connection as one that net/http serves. The connection can be evicted at once.
func (s *Server) newConn(accepted *accept.Conn) *conn {
	c := &conn{Conn: accepted, accepted: accepted, server: s}
	c.slot = s.idle.NewSlot(c.evict)
	c.allowEviction()
	return c
}

// connState is called by net/http when the state of a connection changes.
func (s *Server) connState(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	if c.responseDone != nil && (state == http.StateIdle || state == http.StateClosed) {
		close(c.responseDone)
		c.responseDone = nil
	}
	switch state {
	case http.StateIdle:
		c.setPhase(phaseIdle)
		c.framing.Idle()
		c.allowEviction()
	case http.StateHijacked, http.StateClosed:
		c.beginRequest()
	}
}

// Close stops listening and closes the idle connections. The others close when their response has been written; Close
// does not wait for them. It may be called more than once.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel() // before EvictAll, so that conn.allowEviction sees it for a connection that EvictAll has missed
		s.err = s.listener.Close()
		s.http.SetKeepAlivesEnabled(false)
		s.idle.EvictAll()
		s.serving.Wait()
	})
	return s.err
}

// Addr returns the local address of the server.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// refused reports a refused connection to OnRefused.
func (s *Server) refused(c *conn, err error) {
	if s.cfg.Accept.OnRefused != nil {
		s.cfg.Accept.OnRefused(transport.Refusal{Transport: s.cfg.Accept.Transport, Addr: c.RemoteAddr(), Err: err})
	}
}
