package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/httphead"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/front"
)

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

	framing httphead.Framing // of what has been read

	// Of a request whose body is short. Only the goroutine that serves it touches the first two. (Short)
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
	c.phase.Store(body)
	c.place.Leave()
}

// giveWay closes a connection that has nothing to say.
func (c *conn) giveWay() { _ = c.front.Conn.Close() }

// Read implements net.Conn. A stranger whose request does not arrive in time is told so (408); after
// a request silence ends the connection silently (Kea's rules).
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.phase.Load() != body:
	case len(p) == 1: // net/http's, to know whether the client leaves
		if c.deaf.CompareAndSwap(true, false) {
			return 0, nil
		}
	case c.idle > 0:
		_ = c.SetReadDeadline(earlier(time.Now().Add(c.idle), c.until))
	}
	n, err := c.Conn.Read(p)
	phase := c.phase.Load()
	c.framing.Scan(p[:n])
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

// SetReadDeadline implements net.Conn. net/http sets its fixed IdleTimeout directly after it has announced
// StateIdle; the connection waits for Config.IdleTimeout instead, which may change while the server runs.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.framing.ReadDeadline() {
		t = time.Now().Add(c.server.cfg.IdleTimeout())
	}
	return c.Conn.SetReadDeadline(t)
}

// Write implements net.Conn. Nothing follows the 408: net/http takes the part of a line that has come
// for a whole one, and would have an answer to that too.
func (c *conn) Write(p []byte) (int, error) {
	if c.phase.Load() == late {
		return 0, errTooLate
	}
	return c.Conn.Write(p)
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

// MaxShort is the longest body that is short: as much as net/http reads at a time.
const MaxShort = 4 << 10

// Short says that the body of a request has a length, which is short, and how long the client may be silent
// in it and may take for it. It is false when another server serves the request, and limits it.
//
// Such a body has mostly arrived with its head. So its time is limited where something has to be waited for, and
// nowhere else. And net/http, which then listens for the client with a read of one byte, on a goroutine of its
// own, until the handler returns, is told once that there is nothing, and gives up: nobody here wants to know
// whether the client is there before it is sent something. What it says meanwhile is the next request, and is read
// then. Both together save a fourth of the allocations of a command, one of the three reads, and a sixth of the
// processor's time. (TestDeaf; bench, "http, 16")
func Short(r *http.Request, idle, whole time.Duration) bool {
	c := connOf(r)
	if c == nil {
		return false
	}
	c.idle, c.until = idle, time.Now().Add(whole)
	c.deaf.Store(true)
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
