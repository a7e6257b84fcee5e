package mgr

import "github.com/rudderpost/rudderpost/transport"

// An Observer is told of conns and of results, for metrics. Its methods are called off the loop, by several goroutines at the
// same time, and must not block: the replies of the conn wait for them.
type Observer interface {
	// ConnOpened and ConnClosed are called once each for every conn that is served. They are not called for a conn that is
	// refused.
	ConnOpened(peer transport.Peer)
	ConnClosed(peer transport.Peer)

	// CallDone is called once for each call, when its reply was written or discarded; also for refused calls.
	CallDone(result CallResult)
}
