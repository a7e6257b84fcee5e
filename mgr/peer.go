package mgr

import (
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// A peer is what the manager knows of all conns of one peer together.
type peer struct {
	m     *CommandMgr
	name  string
	conns int // m.mu guards it

	tokens float64 // m.mu guards the rate's two
	filled time.Time
}

// mayCall takes one of the calls that the peer has this second.
func (p *peer) mayCall(now time.Time) bool {
	rate := float64(p.m.opts.MaxRate)
	if rate <= 0 {
		return true
	}
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.tokens = min(rate, p.tokens+rate*now.Sub(p.filled).Seconds())
	p.filled = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}

// join lets a conn in, unless there are too many. The text says which limit that is.
func (m *CommandMgr) join(s *Socket, conn transport.Conn) (*conversation, string) {
	name := conn.Peer().String()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[name]
	if p == nil {
		p = &peer{m: m, name: name, tokens: float64(m.opts.MaxRate), filled: time.Now()}
	}
	switch {
	case s.conns >= m.opts.MaxConns:
		return nil, "this listener has as many conns as it may; close some, or try again later"
	case p.conns >= m.opts.MaxConnsPerPeer:
		return nil, name + " has as many conns as one peer may; close some"
	case m.receiving.Err() != nil:
		return nil, errShuttingDown.Text
	}
	if len(m.peers) >= m.sweepAt {
		m.forgetIdle()
	}
	m.peers[name] = p
	p.conns++
	s.conns++
	c := &conversation{m: m, conn: conn, peer: p, socket: s}
	c.changed.L = &c.mu
	m.speaking[c] = struct{}{}
	return c, ""
}

// firstSweep is how many peers are known before somebody looks for those who can be forgotten.
const firstSweep = 1024

// forgetIdle forgets the peers without a conn whose bucket has filled since: where there is a rate they
// are not forgotten at once, or connecting anew would fill it. m.mu is held.
func (m *CommandMgr) forgetIdle() {
	for name, p := range m.peers {
		if p.conns == 0 && time.Since(p.filled) >= time.Second {
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
	c.socket.conns--
	if c.peer.conns--; c.peer.conns == 0 && m.opts.MaxRate <= 0 {
		delete(m.peers, c.peer.name)
	}
	m.quiet.Broadcast()
}
