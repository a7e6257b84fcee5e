package audit

import (
	"net"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/wire"
)

// How many refusals a second have a record each. A peer can cause refusals as often as it likes, and must not fill the
// disk. One peer has a share, so that it does not hide the refusals of others.
const (
	maxStrange        = 100 // of all peers
	maxStrangeOfAPeer = 25
)

// strange reports whether an entry is of something that cost its peer nothing: a refusal, or a
// command that does not exist.
func strange(e *record.Entry) bool {
	switch e.Event {
	case record.Denied, record.LoginRefused:
		return true
	case record.Outcome:
		return e.Intent == 0 && (e.Access == "" || e.Result == wire.CodeTooMany)
	}
	return false
}

// A flood counts refusals, in all and of each peer. Its memory is bounded: a peer is counted by itself only while one of its
// refusals has a record.
type flood struct {
	second   time.Time
	recorded int
	byPeer   map[string]int // recorded of each peer
	counted  uint64         // not recorded
}

// lets counts a refusal, and reports whether it gets a record.
func (f *flood) lets(now time.Time, e *record.Entry) bool {
	if now.Sub(f.second) >= time.Second {
		f.second, f.recorded = now, 0
		clear(f.byPeer)
	}
	peer := peerOf(e)
	if f.recorded == maxStrange || f.byPeer[peer] == maxStrangeOfAPeer {
		f.counted++
		return false
	}
	if f.byPeer == nil {
		f.byPeer = map[string]int{}
	}
	f.recorded++
	f.byPeer[peer]++
	return true
}

// peerOf returns what the peer of an entry has proven, or its address where it has proven nothing.
func peerOf(e *record.Entry) string {
	if e.Principal != "" {
		return e.Principal
	}
	if host, _, err := net.SplitHostPort(e.Address); err == nil {
		return host
	}
	return e.Address
}

// over reports whether some had no record, and their second is over.
func (f *flood) over(now time.Time) bool { return f.counted > 0 && now.Sub(f.second) >= time.Second }
