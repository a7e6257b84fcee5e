package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/front"
)

// Config says where a Server listens and what it does.
type Config struct {
	Front         front.Config
	Handler       http.Handler
	HeaderTimeout time.Duration // for the head of a request to arrive. 0: 10 s
	MaxConns      int           // connections at a time; then one that is silent gives way. 0: 1024

	// IdleTimeout returns how long a connection may be idle between two requests. The server calls it each
	// time a connection becomes idle. nil: DefaultIdleTimeout.
	IdleTimeout func() time.Duration
}

// DefaultIdleTimeout is how long a connection may be idle between two requests. It is longer than the usual polling
// intervals (10 s to 2 min), and none of them. A poller whose interval equals the timeout sends its next
// request in the moment in which the server closes the connection, and loses that request.
const DefaultIdleTimeout = 150 * time.Second

// A Server serves HTTP/1.1 and nothing else (WebSocket cannot travel in HTTP/2 as we speak it).
type Server struct {
	cfg    Config
	http   http.Server
	front  *front.Listener
	silent *front.Waiting // connections on which no request is being served

	ctx     context.Context // ends with the listener
	cancel  context.CancelFunc
	once    sync.Once
	err     error
	serving sync.WaitGroup
}

// maxHeader is the longest head of a request in bytes, apart from 4 KiB that net/http grants itself.
const maxHeader = 4 << 10

// Listen opens the server.
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
	cfg.Front.Protos = []string{"http/1.1"}
	l, err := front.Listen(ctx, cfg.Front)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, front: l, silent: front.NewWaiting(cfg.MaxConns)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		ReadHeaderTimeout:            cfg.HeaderTimeout,
		IdleTimeout:                  DefaultIdleTimeout, // conn.SetReadDeadline replaces it by cfg.IdleTimeout
		MaxHeaderBytes:               maxHeader,
		ConnState:                    s.state,
		ConnContext:                  withConn,
		Protocols:                    &protocols,
		DisableGeneralOptionsHandler: true, // it asks nobody
		ErrorLog:                     slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	s.serving.Go(func() { _ = s.http.Serve(acceptor{s}) })
	return s, nil
}

// serve serves a request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := connOf(r)
	c.idle = 0
	c.deaf.Store(false)
	c.busy()
	if c.front.TLS != nil {
		r.TLS = c.front.TLS
	}
	if c.framing.CloseAfter(r) {
		w.Header()["Connection"] = []string{"close"}
	}
	s.cfg.Handler.ServeHTTP(w, r)
}

// An acceptor is the listener that net/http sees.
type acceptor struct{ *Server }

// Accept implements net.Listener.
func (a acceptor) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		c, err := a.front.Accept(a.ctx)
		switch {
		case err == nil:
			return a.welcome(c), nil
		case errors.Is(err, net.ErrClosed), a.ctx.Err() != nil:
			return nil, net.ErrClosed
		}
		// Out of descriptors, most likely: connections that end will help, trying at once will not.
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
			return nil, net.ErrClosed
		}
		pause = min(2*pause, time.Second)
	}
}

// Close implements net.Listener.
func (a acceptor) Close() error { return nil }

// Addr implements net.Listener.
func (a acceptor) Addr() net.Addr { return a.front.Addr() }

// welcome gives a connection its place among those that are silent.
func (s *Server) welcome(f *front.Conn) *conn {
	c := &conn{Conn: f, front: f, server: s}
	c.place = s.silent.Place(c.giveWay)
	c.wait()
	return c
}

// state follows what net/http does with a connection.
func (s *Server) state(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	if c.finished != nil && (state == http.StateIdle || state == http.StateClosed) {
		close(c.finished)
		c.finished = nil
	}
	switch state {
	case http.StateIdle:
		c.phase.Store(quiet)
		c.framing.Idle()
		c.wait()
	case http.StateHijacked, http.StateClosed:
		c.busy()
	}
}

// Close stops listening, and closes the connections on which no request is being served. The others
// end with the requests that they have.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel() // before those who are silent are told, lest one is missed
		s.err = s.front.Close()
		s.http.SetKeepAlivesEnabled(false)
		s.silent.Clear()
		s.serving.Wait()
	})
	return s.err
}

// Addr says where the server can be reached.
func (s *Server) Addr() net.Addr { return s.front.Addr() }

func (s *Server) refused(c *conn, err error) {
	if s.cfg.Front.OnRefused != nil {
		s.cfg.Front.OnRefused(transport.Refusal{Transport: s.cfg.Front.Transport, Addr: c.RemoteAddr(), Err: err})
	}
}
