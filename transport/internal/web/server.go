package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/front"
)

// Config says where a Server listens and what it does.
type Config struct {
	Front         front.Config
	Handler       http.Handler
	HeaderTimeout time.Duration // for the head of a request to arrive. 0: 10 s
	IdleTimeout   time.Duration // between requests. 0: 30 s (Kea's)
	MaxConns      int           // connections at a time; then one that is silent gives way. 0: 1024
}

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
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 30 * time.Second
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
		IdleTimeout:                  cfg.IdleTimeout,
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
	c.busy()
	if c.front.TLS != nil {
		r.TLS = c.front.TLS
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

// What a connection is doing.
const (
	fresh int32 = iota // nothing has come, ever
	quiet              // nothing, after a request
	head               // the head of a request is arriving
	body               // a request is being served
	late               // it was told that it was too slow
)

// A conn is a connection as net/http sees it.
type conn struct {
	net.Conn
	front  *front.Conn
	server *Server
	phase  atomic.Int32
	place  *front.Place

	finished chan struct{} // somebody waits for the end of a response

	// Of a request whose body is short. Only the goroutine that serves it touches the first two.
	idle  time.Duration // how long the client may be silent in it; 0: the body is not short
	until time.Time     // when it must be here
	deaf  atomic.Bool   // net/http shall not listen for the client once it has the body
}

// wait takes the connection's place among those that are silent.
func (c *conn) wait() {
	c.place.Enter()
	if c.server.ctx.Err() != nil { // perhaps after Close has looked there
		c.giveWay()
	}
}

// busy leaves those who are silent.
func (c *conn) busy() {
	c.idle = 0
	c.deaf.Store(false)
	c.phase.Store(body)
	c.place.Leave()
}

// giveWay closes a connection that has nothing to say.
func (c *conn) giveWay() { _ = c.front.Conn.Close() }

// Read implements net.Conn. A stranger whose request does not arrive in time is told so (408); after
// a request silence ends the connection silently (Kea's rules).
func (c *conn) Read(p []byte) (int, error) {
	phase := c.phase.Load()
	if phase == body {
		if len(p) == 1 && c.deaf.CompareAndSwap(true, false) {
			return 0, nil
		}
		if len(p) > 1 && c.idle > 0 {
			_ = c.Conn.SetReadDeadline(earlier(time.Now().Add(c.idle), c.until))
		}
	}
	n, err := c.Conn.Read(p)
	phase = c.phase.Load()
	switch {
	case n > 0 && (phase == fresh || phase == quiet):
		c.phase.Store(head)
	case errors.Is(err, os.ErrDeadlineExceeded) && (phase == fresh || phase == head):
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte(tooLate))
		c.phase.Store(late)
		if phase == head { // browsers connect and wait: that is no refusal
			c.server.refused(c, errTooLate)
		}
	}
	return n, err
}

// Write implements net.Conn. Nothing follows the 408: net/http takes the part of a line that has come
// for a whole one, and would have an answer to that too.
func (c *conn) Write(p []byte) (int, error) {
	if c.phase.Load() == late {
		return 0, errTooLate
	}
	return c.Conn.Write(p)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (s *Server) refused(c *conn, err error) {
	if s.cfg.Front.OnRefused != nil {
		s.cfg.Front.OnRefused(transport.Refusal{Transport: s.cfg.Front.Transport, Addr: c.RemoteAddr(), Err: err})
	}
}

var errTooLate = errors.New("the head of the request did not arrive in time")

const tooLate = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 44\r\n" +
	"Content-Type: application/json\r\n\r\n" + `{ "result": 408, "text": "Request Timeout" }`

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request that a Server serves, or nil.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// Wait puts the connection of a request that has been refused among those that are silent, while its
// body is waited for.
func Wait(r *http.Request) {
	if c := connOf(r); c != nil {
		c.wait()
	}
}

// MaxShort is the longest body that is short: as much as net/http reads at a time.
const MaxShort = 4 << 10

// Short says that the body of a request has a length, which is short, and how long the client may be silent
// in it and may take for it. It is false when another server serves the request, and limits it.
//
// Such a body has mostly arrived with its head. So its time is limited where something has to be waited for, and
// nowhere else. And net/http, which then listens for the client with a read of one byte, on a goroutine of its
// own, until the handler returns, is told at once that there is nothing: nobody here wants to know whether the
// client is there before it is sent something. What it says meanwhile is the next request, and is read then.
// (TestDeaf: a fourth of the allocations of a command, a read of two, and a sixth of the processor's time)
func Short(r *http.Request, idle, whole time.Duration) bool {
	c := connOf(r)
	if c == nil {
		return false
	}
	c.idle, c.until = idle, time.Now().Add(whole)
	c.deaf.Store(true)
	return true
}

// Finished returns what is closed when the response to a request is out to its last byte, or cannot
// be any more. The handler must ask before it returns.
func Finished(r *http.Request) <-chan struct{} {
	finished := make(chan struct{})
	if c := connOf(r); c != nil {
		c.finished = finished
	} else {
		close(finished) // it is another server's affair
	}
	return finished
}

// Session names the connection of a request. One that another server serves gets a fresh name.
func Session(r *http.Request) string {
	if c := connOf(r); c != nil {
		return c.front.Session
	}
	kind := "http"
	if r.TLS != nil {
		kind = "https"
	}
	return transport.NewSession(kind)
}
