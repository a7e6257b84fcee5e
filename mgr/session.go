package mgr

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Session is a connection underneath one or more conns, as long as one of them is open: over QUIC
// each stream is a conn, over HTTP each request.
type Session struct {
	ID       string         // Peer.Session of its conns
	Peer     transport.Peer // who is at the other end
	Listener string         // the Name of the ListenerConfig that it came through
	Since    time.Time      // when the oldest of its conns was opened
	Conns    int            // how many are open
	Commands int64          // how many requests have been answered on those
	Running  []Running      // what has not been answered yet, the oldest first
}

// Running is a command in flight.
type Running struct {
	Command string
	Since   time.Time // when it arrived
	Waiting bool      // its turn has not come
}

// Sessions returns who is there, in the order of their coming.
func (m *CommandMgr) Sessions() []Session {
	byID := map[string]*Session{}
	for _, c := range m.conversations() {
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

func (m *CommandMgr) conversations() []*conversation {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*conversation, 0, len(m.speaking))
	for c := range m.speaking {
		all = append(all, c)
	}
	return all
}

func (c *conversation) since() time.Time { return time.Unix(0, c.opened) }

// describe adds a conversation to what is known of its session.
func (c *conversation) describe(s *Session) {
	if since := c.since(); since.Before(s.Since) {
		s.Since = since
	}
	s.Conns++
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Commands += c.answers
	for _, call := range c.calls {
		if state := call.state.Load(); state != answered {
			s.Running = append(s.Running, Running{wire.Shorten(call.Name), call.Received, state < running})
		}
	}
}

// CloseSession closes the conns of a session, and returns how many they were. Their commands are answered with result 403
// (session-killed): those that wait for their turn never run, those that run beside the loop are cancelled, and one that
// runs on the loop runs to its end. A conn is closed when its replies have been sent, at the latest after a second. The
// connection underneath, if it can have more conns, gets none any more: each is refused with the same error, and closed.
func (m *CommandMgr) CloseSession(id string) (conns int) {
	m.mu.Lock()
	m.banned.add(id)
	m.mu.Unlock()
	for _, c := range m.conversations() {
		if c.conn.Peer().Session == id {
			conns++
			c.kill(errKilled, allCalls)
		}
	}
	if conns == 0 {
		m.mu.Lock()
		m.banned.remove(id)
		m.mu.Unlock()
	}
	return conns
}

var (
	errKilled  = &wire.Error{Code: wire.CodeForbidden, Word: "session-killed", Text: "the session was closed by an administrator; open a new connection"}
	errRevoked = &wire.Error{Code: wire.CodeUnauthenticated, Word: "revoked", Text: "your credentials are no longer good: revoked, changed or expired; the conn closes"}
)

// A killScope says which calls kill answers.
type killScope uint8

const (
	waitingCalls killScope = iota // those that wait for their turn
	allCalls                      // those that run, too; the replies of their handlers are discarded
)

// lastRepliesTimeout is how long the peer of a conn that was killed may take to read the last replies.
const lastRepliesTimeout = time.Second

// kill answers the conn's calls with why, cancels the contexts of those that run and are answered, and closes the conn
// when the replies have been sent, at the latest after lastRepliesTimeout. It returns at once, and reports whether it is
// the first to kill the conn. Calls that are published later are dropped by the reader (submit).
func (c *conversation) kill(why *wire.Error, scope killScope) (first bool) {
	if !c.killed.CompareAndSwap(nil, why) {
		return false
	}
	c.mu.Lock()
	calls := slices.Clone(c.calls)
	c.mu.Unlock()
	for _, call := range calls {
		call.drop(why, scope == allCalls)
		if scope == allCalls && call.ending != nil {
			call.ending.cancel(why) // after the reply: the handler has no better one
		}
	}
	c.m.beside(func() {
		c.waitForLastReplies(scope)
		c.closeConn()
	})
	return true
}

// waitForLastReplies waits until the replies of a conn that was killed have been sent, or cannot be, or
// lastRepliesTimeout has passed. A call that runs has no reply unless scope is allCalls.
func (c *conversation) waitForLastReplies(scope killScope) {
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
	for ctx.Err() == nil && (c.sending || len(c.out) > 0 || scope == allCalls && c.owed > 0) {
		c.changed.Wait()
	}
}

// mostBanned is how many closed sessions are remembered: the oldest connections have ended by then.
const mostBanned = 1024

// A ban is a list of sessions that get no more conns, the oldest first.
type ban struct{ ids []string }

func (b *ban) add(id string) {
	b.remove(id)
	if len(b.ids) == mostBanned {
		b.ids = slices.Delete(b.ids, 0, 1)
	}
	b.ids = append(b.ids, id)
}

func (b *ban) remove(id string) {
	b.ids = slices.DeleteFunc(b.ids, func(other string) bool { return other == id })
}

func (b *ban) has(id string) bool { return slices.Contains(b.ids, id) }
