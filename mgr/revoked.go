package mgr

import (
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// revoked reports whether something that a peer has proven is true no longer. What else it has proven
// does not count then: its conn was opened on all of it.
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

// askEvery is how often the peers of idle conns are asked about.
const askEvery = time.Second

// watchRevocable makes sure that somebody asks, while there is somebody to ask about. m.mu is held.
func (m *CommandMgr) watchRevocable(peer transport.Peer) {
	if !m.asking && revocable(peer) {
		m.asking = true
		time.AfterFunc(askEvery, m.closeRevoked)
	}
}

// closeRevoked closes the conns of those whose credentials are good no longer.
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
