package mgr

import "github.com/rudderpost/rudderpost/transport"

// An Observer is told what happens, for counters and histograms. It is called off the loop, by many
// goroutines, and must not wait.
type Observer interface {
	// ConnOpened and ConnClosed tell the life of a conn; one that was refused for being one too many
	// has none.
	ConnOpened(peer transport.Peer)
	ConnClosed(peer transport.Peer)

	// CallDone is called once for each call when its reply was written or discarded, also for refused calls.
	CallDone(result CallResult)
}
