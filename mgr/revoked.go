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

// revocationInterval is the time between two checks of the credentials of idle conns.
const revocationInterval = time.Second

// scheduleRevocationCheckLocked starts the timer of the next check, if the peer has revocable credentials and no timer runs. m.mu is held.
func (m *CommandMgr) scheduleRevocationCheckLocked(peer transport.Peer) {
	if !m.revocationTimerSet && revocable(peer) {
		m.revocationTimerSet = true
		time.AfterFunc(revocationInterval, m.closeRevoked)
	}
}

// closeRevoked closes the conns whose peers have a revoked credential.
func (m *CommandMgr) closeRevoked() {
	for _, c := range m.openConns() {
		if peer := c.conn.Peer(); revoked(peer) && c.kill(errRevoked, allCalls) {
			m.log.Warn("a conn is closed, since its peer's credentials are no longer good", "peer", peer.String(), "session", peer.Session)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revocationTimerSet = false
	for c := range m.conns {
		m.scheduleRevocationCheckLocked(c.conn.Peer())
	}
}
