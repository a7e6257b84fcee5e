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

// A peer is what the manager knows of all conns of one peer together.
type peer struct {
	m     *CommandMgr
	name  string
	calls atomic.Int64

	conns    int          // m.mu guards it
	accounts int          // that are open; m.mu guards it
	windows  atomic.Int64 // of buffered: what ReserveWindow has booked
	buffered atomic.Int64 // bytes that it makes the daemon hold

	rate ratelimit.Bucket // of the calls; m.mu guards it
}

// mayCall takes one of the calls that the peer has this second.
func (p *peer) mayCall(now time.Time) bool {
	rate := float64(p.m.limits.Load().MaxRate)
	if rate <= 0 {
		return true
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	return p.rate.Take(now, rate, rate) == 0
}

// enter takes one of the places that the peer has for calls in flight, over all its conns.
func (p *peer) enter() bool {
	if p.calls.Add(1) <= int64(p.m.limits.Load().MaxInFlightPerPeer) {
		return true
	}
	p.calls.Add(-1)
	return false
}

// leave gives it back.
func (p *peer) leave() { p.calls.Add(-1) }

// join lets a conn in, unless there are too many, or it is one of those that get no more.
func (m *CommandMgr) join(l *Listener, conn transport.Conn) (*conversation, *wire.Error) {
	name, owner, reserved := conn.Peer().String(), isOwner(conn.Peer()), inReserve(conn)
	var evicted *conversation
	defer func() {
		if evicted != nil {
			evicted.kill(errEvicted, waitingCalls) // before the log handler, which may take long: the conn was idle a moment ago
			m.log.Warn("a conn of the owner is closed, since the owner has opened another and has no place left", "session", evicted.conn.Peer().Session)
		}
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[name]
	if p == nil {
		p = m.newPeer(name)
	}
	defer m.forgetUnused(p)
	if m.banned.has(conn.Peer().Session) {
		return nil, errKilled
	}
	if draining := l.refusal(); draining != nil {
		return nil, draining
	}
	if full, among := m.fullFor(l, p, owner, reserved); full != nil {
		if !owner {
			return nil, full
		}
		if evicted = m.evictIdle(among); evicted == nil {
			return nil, full
		}
	}
	p.conns++
	l.conns++
	if reserved {
		m.reserved++
	}
	c := &conversation{m: m, conn: conn, peer: p, owner: owner, reserved: reserved, listener: l, opened: time.Now().UnixNano()}
	c.changed.L = &c.mu
	c.hear = c.turn
	c.wake = func() { m.talkers.serve(c) }
	c.calls, c.out, c.spare = c.one.call[:0], c.one.out[:0], c.one.spare[:0]
	m.speaking[c] = struct{}{}
	m.watchRevocable(conn.Peer())
	return c, nil
}

// newPeer returns a peer that the manager knows from now on. m.mu is held.
func (m *CommandMgr) newPeer(name string) *peer {
	if len(m.peers) >= m.sweepAt {
		m.forgetIdle()
	}
	p := &peer{m: m, name: name, rate: ratelimit.Full(time.Now(), float64(m.limits.Load().MaxRate))}
	m.peers[name] = p
	return p
}

// forgetUnused forgets a peer that has neither a conn nor an account, unless its rate must be known. m.mu is held.
func (m *CommandMgr) forgetUnused(p *peer) {
	if p.conns == 0 && p.accounts == 0 && m.limits.Load().MaxRate <= 0 {
		delete(m.peers, p.name)
	}
}

func tooManyConns(text string) *wire.Error {
	return &wire.Error{Code: wire.CodeShuttingDown, Word: "too-many-conns", Text: text}
}

// roomFor returns how many conns a listener with a limit may have when a conn of the owner, or of another peer, joins: the
// last place is kept for the owner.
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

// firstSweep is how many peers are known before somebody looks for those who can be forgotten.
const firstSweep = 1024

// forgetIdle forgets the peers without a conn whose bucket has filled since: where there is a rate they
// are not forgotten at once, or connecting anew would fill it. m.mu is held.
func (m *CommandMgr) forgetIdle() {
	for name, p := range m.peers {
		if p.conns == 0 && p.accounts == 0 && p.rate.SinceTake(time.Now()) >= time.Second {
			delete(m.peers, name)
		}
	}
	m.sweepAt = max(firstSweep, 2*len(m.peers))
}

// leave ends what join began.
func (m *CommandMgr) leave(c *conversation) {
	if m.opts.Observer != nil {
		m.opts.Observer.ConnClosed(c.conn.Peer())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.speaking, c)
	c.listener.conns--
	c.listener.endUnusedLocked()
	c.peer.conns--
	if c.reserved {
		m.reserved--
	}
	m.forgetUnused(c.peer)
	m.quiet.Broadcast()
}
