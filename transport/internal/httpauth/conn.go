package httpauth

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
	"github.com/rudderpost/rudderpost/transport/internal/accept"
)

// A phase is the state of a connection. The connection can be evicted in each phase but phaseRequest. The transitions:
//
//	from           to             when
//	phaseNew       phaseHead      bytes arrive
//	phaseNew       phaseTimedOut  no byte has arrived within HeaderTimeout; the client gets a 408
//	phaseHead      phaseRequest   net/http has read the head, and calls the handler
//	phaseHead      phaseTimedOut  the head is not complete within HeaderTimeout; the client gets a 408
//	phaseIdle      phaseHead      bytes arrive
//	phaseIdle      phaseRequest   net/http has the whole head in its buffer already, and calls the handler
//	phaseRequest   phaseIdle      the response has been written (http.StateIdle)
//	any            phaseRequest   the connection is closed, or was hijacked for a WebSocket
//
// In phaseTimedOut nothing is written any more.
type phase int32

const (
	phaseNew      phase = iota // no byte has arrived
	phaseIdle                  // no byte has arrived since the last response
	phaseHead                  // a part of the head of a request has arrived
	phaseRequest               // the handler serves a request
	phaseTimedOut              // the client was told that its request came too late
)

// A conn is a connection as net/http sees it. Only the goroutine that net/http reads on calls Read; the other methods
// may be called from any goroutine.
type conn struct {
	net.Conn
	accepted *accept.Conn // the same connection
	server   *Server
	phase    atomic.Int32 // a phase
	slot     *accept.Slot // in server.idle

	responseDone chan struct{} // closed when the response has been written; nil: no handler has asked

	framing httphead.Framing // of the bytes that were read

	// For a request with a small body; see SetSmallBody. Only the goroutine of the request uses bodyIdle and bodyEnd.
	bodyIdle     time.Duration // how long a read of the body may wait; 0: the body is not small
	bodyEnd      time.Time     // when the body must be complete
	skipWaitRead atomic.Bool   // the next read of one byte, by which net/http waits for the client's departure, returns at once
}

func (c *conn) getPhase() phase  { return phase(c.phase.Load()) }
func (c *conn) setPhase(p phase) { c.phase.Store(int32(p)) }

// allowEviction puts the connection into the queue of idle connections.
func (c *conn) allowEviction() {
	c.slot.Enter()
	if c.server.ctx.Err() != nil { // Close may have evicted all slots before Enter
		c.evict()
	}
}

// beginRequest takes the connection out of the queue of idle connections.
func (c *conn) beginRequest() {
	c.setPhase(phaseRequest)
	c.slot.Leave()
}

// evict closes an idle connection.
func (c *conn) evict() { _ = c.accepted.Close() }

// Read implements net.Conn. If the head of a request does not arrive in time, Read writes a 408. After a response an
// idle connection ends without one. Both rules are Kea's.
func (c *conn) Read(p []byte) (int, error) {
	switch {
	case c.getPhase() != phaseRequest:
	case len(p) == 1: // net/http waits for the client's departure; see SetSmallBody
		if c.skipWaitRead.CompareAndSwap(true, false) {
			return 0, nil
		}
	case c.bodyIdle > 0:
		_ = c.SetReadDeadline(earlier(time.Now().Add(c.bodyIdle), c.bodyEnd))
	}
	n, err := c.Conn.Read(p)
	before := c.getPhase()
	c.framing.Scan(p[:n])
	switch {
	case n > 0 && (before == phaseNew || before == phaseIdle):
		c.setPhase(phaseHead)
	case errors.Is(err, os.ErrDeadlineExceeded) && (before == phaseNew || before == phaseHead):
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte(timeoutResponse))
		c.setPhase(phaseTimedOut)
		if before == phaseHead { // without a byte it is no refusal: browsers connect in advance
			c.server.refused(c, errHeadTimeout)
		}
	}
	return n, err
}

// SetReadDeadline implements net.Conn. net/http sets its fixed IdleTimeout directly after it has announced
// http.StateIdle. SetReadDeadline replaces it by Config.IdleTimeout, which may change while the server runs.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.framing.ReadDeadline() {
		t = time.Now().Add(c.server.cfg.IdleTimeout())
	}
	return c.Conn.SetReadDeadline(t)
}

// Write implements net.Conn. After the 408 it returns an error: net/http treats the incomplete head as a complete one,
// and would write a second response.
func (c *conn) Write(p []byte) (int, error) {
	if c.getPhase() == phaseTimedOut {
		return 0, errHeadTimeout
	}
	return c.Conn.Write(p)
}

var errHeadTimeout = errors.New("the head of the request did not arrive in time")

// timeoutResponse has the body that Kea sends.
const timeoutResponse = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 44\r\n" +
	"Content-Type: application/json\r\n\r\n" + `{ "result": 408, "text": "Request Timeout" }`

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request. It is nil when the request came through another server than a Server.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// AllowEviction lets a new connection evict the connection of r, while the rest of the body of a refused request is
// read. It does nothing when another server serves r.
func AllowEviction(r *http.Request) {
	if c := connOf(r); c != nil {
		c.allowEviction()
	}
}

// ResponseDone returns a channel that is closed when the last byte of the response to r has been written, or when the
// connection is closed. The handler must call it before it returns. When another server serves r, the channel is closed
// already.
func ResponseDone(r *http.Request) <-chan struct{} {
	done := make(chan struct{})
	if c := connOf(r); c != nil {
		c.responseDone = done
	} else {
		close(done)
	}
	return done
}

// Session returns the name of the connection of r. It is a new name for each request when another server serves r.
func Session(r *http.Request) string {
	if c := connOf(r); c != nil {
		return c.accepted.Session
	}
	kind := "http"
	if r.TLS != nil {
		kind = "https"
	}
	return transport.NewSession(kind)
}

// MaxSmallBody is the longest body in bytes for SetSmallBody: net/http reads as much at a time.
const MaxSmallBody = 4 << 10

// SetSmallBody sets the time limits of a body with a Content-Length of at most MaxSmallBody: idle is how long one read
// may wait, and total how long the whole body may take. It returns false, and does nothing, when another server serves
// r; then that server limits the body.
//
// Most of such a body arrives with its head, so the limits are set by the reads that wait, and there is no timer.
// When net/http has read the body, it reads one more byte on a goroutine of its own until the handler returns, to find
// out whether the client has left. Nothing here uses that, so the first such read returns at once. The next request is
// read later, as usual. Both together save a fourth of the allocations of a command, one of its three reads, and a sixth
// of the CPU time (bench, "http, 16"; TestHandlerRunsWithoutBackgroundRead).
func SetSmallBody(r *http.Request, idle, total time.Duration) bool {
	c := connOf(r)
	if c == nil {
		return false
	}
	c.bodyIdle, c.bodyEnd = idle, time.Now().Add(total)
	c.skipWaitRead.Store(true)
	return true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
