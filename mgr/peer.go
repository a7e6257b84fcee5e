package mgr

import (
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/ratelimit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A peer has the counters of all conns of one peer together.
type peer struct {
	m     *CommandMgr
	name  string
	calls atomic.Int64

	conns    int          // open conns; guarded by m.mu
	accounts int          // open memory accounts; guarded by m.mu
	windows  atomic.Int64 // the part of buffered that ReserveWindow added
	buffered atomic.Int64 // bytes that the daemon holds for the peer

	rate ratelimit.Bucket // limits the rate of calls; guarded by m.mu
}

// mayCall takes one call from the rate limit of the peer, and reports whether there was one left.
func (p *peer) mayCall(now time.Time) bool {
	rate := float64(p.m.limits.Load().MaxRate)
	if rate <= 0 {
		return true
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.rate.Take(now, rate, rate) == 0
}

// acquire adds a call to those in flight of the peer, unless the limit is reached. It reports whether it did.
func (p *peer) acquire() bool {
	if p.calls.Add(1) <= int64(p.m.limits.Load().MaxInFlightPerPeer) {
		return true
	}
	p.calls.Add(-1)
	return false
}

// release removes a call that acquire added.
func (p *peer) release() { p.calls.Add(-1) }

// addConn adds a conn to the open ones. It returns an error if a limit is reached, if a drain has begun, or if the session was
// closed.
func (m *CommandMgr) addConn(l *Listener, accepted transport.Conn) (*conn, *wire.Error) {
	name, owner, reserved := accepted.Peer().String(), isOwner(accepted.Peer()), inReserve(accepted)
	var evicted *conn
	defer func() {
		if evicted != nil {
			evicted.kill(errEvicted, waitingCalls) // before the log handler, which may block: now the conn is still idle
			m.log.Warn("a conn of the owner is closed, since the owner has opened another and has no place left", "session", evicted.conn.Peer().Session)
		}
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[name]
	if p == nil {
		p = m.newPeerLocked(name)
	}
	defer m.forgetUnusedLocked(p)
	if m.closedSessions.has(accepted.Peer().Session) {
		return nil, errKilled
	}
	if draining := l.refusal(); draining != nil {
		return nil, draining
	}
	if full, among := m.connLimitLocked(l, p, owner, reserved); full != nil {
		if !owner {
			return nil, full
		}
		if evicted = m.evictIdleLocked(among); evicted == nil {
			return nil, full
		}
	}
	p.conns++
	l.conns++
	if reserved {
		m.reserved++
	}
	c := newConn(l, accepted, p, owner, reserved)
	m.conns[c] = struct{}{}
	m.scheduleRevocationCheckLocked(accepted.Peer())
	return c, nil
}

// newPeerLocked adds a peer. m.mu is held.
func (m *CommandMgr) newPeerLocked(name string) *peer {
	if len(m.peers) >= m.sweepAt {
		m.forgetIdleLocked()
	}
	p := &peer{m: m, name: name, rate: ratelimit.Full(time.Now(), float64(m.limits.Load().MaxRate))}
	m.peers[name] = p
	return p
}

// forgetUnusedLocked removes a peer without conns and accounts, unless its rate limit must be remembered. m.mu is held.
func (m *CommandMgr) forgetUnusedLocked(p *peer) {
	if p.conns == 0 && p.accounts == 0 && m.limits.Load().MaxRate <= 0 {
		delete(m.peers, p.name)
	}
}

func tooManyConns(text string) *wire.Error {
	return &wire.Error{Code: wire.CodeShuttingDown, Word: "too-many-conns", Text: text}
}

// roomFor returns how many conns a listener may have before a conn of the owner, or of another peer, joins. The last place is
// kept for the owner, unless limit is 1.
func roomFor(limit int, owner bool) int {
	if limit == 1 || owner {
		return limit
	}
	return limit - 1
}

func isOwner(peer transport.Peer) bool {
	return slices.ContainsFunc(peer.Creds, func(cred transport.Credential) bool {
		subject := cred.Subject()
		return subject == "uid:0" || subject == ownUID || subject == selfSubject
	})
}

var ownUID = "uid:" + strconv.Itoa(os.Geteuid())

// firstSweep is the number of peers at which newPeerLocked first removes idle ones.
const firstSweep = 1024

// forgetIdleLocked removes the peers without conns and accounts whose rate limit is full again. A peer is not removed earlier, since
// a new conn would then have a full rate limit. m.mu is held.
func (m *CommandMgr) forgetIdleLocked() {
	for name, p := range m.peers {
		if p.conns == 0 && p.accounts == 0 && p.rate.SinceTake(time.Now()) >= time.Second {
			delete(m.peers, name)
		}
	}
	m.sweepAt = max(firstSweep, 2*len(m.peers))
}

// removeConn removes a conn that addConn added, when it is closed and all its calls have ended.
func (m *CommandMgr) removeConn(c *conn) {
	if m.opts.Observer != nil {
		m.opts.Observer.ConnClosed(c.conn.Peer())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
	c.listener.conns--
	c.listener.endUnusedLocked()
	c.peer.conns--
	if c.reserved {
		m.reserved--
	}
	m.forgetUnusedLocked(c.peer)
	m.progress.Broadcast()
}
