package mgr

import (
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// revoked reports whether one of the credentials of a peer is revoked. One is enough: the conn was opened with all of them.
func revoked(peer transport.Peer) bool {
	for _, cred := range peer.Creds {
		if r, ok := cred.(transport.Revocable); ok && r.Revoked() {
			return true
		}
	}
	return false
}

func revocable(peer transport.Peer) bool {
	for _, cred := range peer.Creds {
		if _, ok := cred.(transport.Revocable); ok {
			return true
		}
	}
	return false
}

// askEvery is the time between two checks of the credentials of idle conns.
const askEvery = time.Second

// watchRevocable starts the timer of the next check, if the peer has revocable credentials and no timer runs. m.mu is held.
func (m *CommandMgr) watchRevocable(peer transport.Peer) {
	if !m.asking && revocable(peer) {
		m.asking = true
		time.AfterFunc(askEvery, m.closeRevoked)
	}
}

// closeRevoked closes the conns whose peers have a revoked credential.
func (m *CommandMgr) closeRevoked() {
	for _, c := range m.conversations() {
		if peer := c.conn.Peer(); revoked(peer) && c.kill(errRevoked, allCalls) {
			m.log.Warn("a conn is closed, since its peer's credentials are no longer good", "peer", peer.String(), "session", peer.Session)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking = false
	for c := range m.speaking {
		m.watchRevocable(c.conn.Peer())
	}
}
