package mgr

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Session is one connection, while at least one of its conns is open. Over QUIC each stream is a conn, over HTTP each
// request; other transports have one conn in each session.
type Session struct {
	ID       string         // Peer.Session of its conns
	Peer     transport.Peer // the peer, with its credentials and address
	Listener string         // the Name of the ListenerConfig of its listener
	Since    time.Time      // when the oldest of its conns was opened
	Conns    int            // the number of open conns
	Commands int64          // the number of requests that were answered on these conns
	Running  []Running      // the calls that are not answered, the oldest first
}

// Running is a command in flight.
type Running struct {
	Command string
	Since   time.Time // when the request arrived
	Waiting bool      // the call waits for the loop
}

// Sessions returns the open sessions, the oldest first.
func (m *CommandMgr) Sessions() []Session {
	byID := map[string]*Session{}
	for _, c := range m.openConns() {
		peer := c.conn.Peer()
		s := byID[peer.Session]
		if s == nil {
			s = &Session{ID: peer.Session, Peer: peer, Listener: c.listener.config.Load().Name, Since: c.since()}
			byID[peer.Session] = s
		}
		c.describe(s)
	}
	all := make([]Session, 0, len(byID))
	for _, s := range byID {
		slices.SortStableFunc(s.Running, func(a, b Running) int { return a.Since.Compare(b.Since) })
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (m *CommandMgr) openConns() []*conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*conn, 0, len(m.conns))
	for c := range m.conns {
		all = append(all, c)
	}
	return all
}

func (c *conn) since() time.Time { return time.Unix(0, c.opened) }

// describe adds the conn to the description of its session.
func (c *conn) describe(s *Session) {
	if since := c.since(); since.Before(s.Since) {
		s.Since = since
	}
	s.Conns++
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Commands += c.replies
	for _, call := range c.calls {
		if state := call.state.Load(); state != answered {
			s.Running = append(s.Running, Running{wire.Shorten(call.Name), call.Received, state < running})
		}
	}
}

// CloseSession closes the conns of a session, and returns their number. It answers their commands with result 403
// (session-killed): queued commands never run, the contexts of async commands end, and a command on the loop runs to its end.
// A conn is closed when its replies have been written, at the latest after one second. Later conns of the same connection
// (QUIC, HTTP) are refused with the same error. CloseSession does not wait for the closing. It returns 0 for an unknown id.
func (m *CommandMgr) CloseSession(id string) (conns int) {
	m.mu.Lock()
	m.closedSessions.add(id)
	m.mu.Unlock()
	for _, c := range m.openConns() {
		if c.conn.Peer().Session == id {
			conns++
			c.kill(errKilled, allCalls)
		}
	}
	if conns == 0 {
		m.mu.Lock()
		m.closedSessions.remove(id)
		m.mu.Unlock()
	}
	return conns
}

var (
	errKilled  = &wire.Error{Code: wire.CodeForbidden, Word: "session-killed", Text: "the session was closed by an administrator; open a new connection"}
	errRevoked = &wire.Error{Code: wire.CodeUnauthenticated, Word: "revoked", Text: "your credentials are no longer good: revoked, changed or expired; the conn closes"}
)

// A killScope says which calls of a conn kill answers.
type killScope uint8

const (
	waitingCalls killScope = iota // the calls that wait for the loop
	allCalls                      // also the calls that run; the replies of their handlers are discarded
)

// lastRepliesTimeout is the time in which the peer of a killed conn must read the last replies.
const lastRepliesTimeout = time.Second

// kill answers the calls of the conn with why, ends the contexts of running calls if scope is allCalls, and closes the conn
// when the replies have been written, at the latest after lastRepliesTimeout. It does not block, and reports whether this was
// the first kill of the conn. The reader drops calls that are published later (submit).
func (c *conn) kill(why *wire.Error, scope killScope) (first bool) {
	if !c.killed.CompareAndSwap(nil, why) {
		return false
	}
	c.mu.Lock()
	calls := slices.Clone(c.calls)
	c.mu.Unlock()
	for _, call := range calls {
		call.drop(why, scope == allCalls)
		if scope == allCalls && call.canceller != nil {
			call.canceller.cancel(why) // after the reply: a reply of the handler is discarded
		}
	}
	c.m.goTracked(func() {
		c.waitForLastReplies(scope)
		c.closeConn()
	})
	return true
}

// waitForLastReplies waits until the replies of a killed conn have been written, until they cannot be written, or until
// lastRepliesTimeout has passed. With waitingCalls it does not wait for calls that run.
func (c *conn) waitForLastReplies(scope killScope) {
	ctx, cancel := context.WithTimeout(c.conn.Context(), lastRepliesTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for ctx.Err() == nil && (c.outbox.busyLocked() || scope == allCalls && c.unanswered > 0) {
		c.changed.Wait()
	}
}

// maxClosedSessions is the number of closed sessions that are remembered. The oldest connections have ended by then.
const maxClosedSessions = 1024

// A sessionList is the list of the sessions whose further conns are refused, the oldest first.
type sessionList struct{ ids []string }

func (b *sessionList) add(id string) {
	b.remove(id)
	if len(b.ids) == maxClosedSessions {
		b.ids = slices.Delete(b.ids, 0, 1)
	}
	b.ids = append(b.ids, id)
}

func (b *sessionList) remove(id string) {
	b.ids = slices.DeleteFunc(b.ids, func(other string) bool { return other == id })
}

func (b *sessionList) has(id string) bool { return slices.Contains(b.ids, id) }
