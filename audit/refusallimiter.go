package audit

import (
	"net"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/wire"
)

// The number of refusals that get an entry each, per second. A peer can cause any number of refusals, and must not
// fill the disk. The limit per peer keeps one peer from hiding the refusals of others.
const (
	maxRefusals        = 100 // of all peers together
	maxRefusalsPerPeer = 25
)

// isRefusal reports whether an entry is about a call or a login that was refused, or about a command that does not
// exist. They cost the peer nothing.
func isRefusal(e *record.Entry) bool {
	switch e.Event {
	case record.Denied, record.LoginRefused:
		return true
	case record.Outcome:
		return e.Intent == 0 && (e.Access == "" || e.Result == wire.CodeTooMany)
	}
	return false
}

// A refusalLimiter decides which refusals get an entry. Its memory is bounded, since byPeer has only peers with an
// entry in this second.
type refusalLimiter struct {
	second     time.Time      // the start of the second
	recorded   int            // refusals with an entry in it
	byPeer     map[string]int // the same of each peer
	suppressed uint64         // refusals without an entry since the last summary
}

// allow counts a refusal, and reports whether it gets an entry.
func (f *refusalLimiter) allow(now time.Time, e *record.Entry) bool {
	if now.Sub(f.second) >= time.Second {
		f.second, f.recorded = now, 0
		clear(f.byPeer)
	}
	peer := peerOf(e)
	if f.recorded == maxRefusals || f.byPeer[peer] == maxRefusalsPerPeer {
		f.suppressed++
		return false
	}
	if f.byPeer == nil {
		f.byPeer = map[string]int{}
	}
	f.recorded++
	f.byPeer[peer]++
	return true
}

// peerOf returns the principal of an entry, or the address of an anonymous peer.
func peerOf(e *record.Entry) string {
	if e.Principal != "" {
		return e.Principal
	}
	if host, _, err := net.SplitHostPort(e.Address); err == nil {
		return host
	}
	return e.Address
}

// needsSummary reports whether refusals were suppressed in a second that is over.
func (f *refusalLimiter) needsSummary(now time.Time) bool {
	return f.suppressed > 0 && now.Sub(f.second) >= time.Second
}
