package mgr

import (
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An Observer is told what happens, for counters and histograms. It is called off the loop, by many
// goroutines, and must not wait.
type Observer interface {
	// ConnOpened and ConnClosed tell the life of a conn; one that was refused for being one too many
	// has none.
	ConnOpened(peer transport.Peer)
	ConnClosed(peer transport.Peer)

	// CallDone tells how a call ended, once for each, refused ones included.
	CallDone(outcome Outcome)
}

// An Outcome is how a call ended.
type Outcome struct {
	Peer     transport.Peer
	Command  string        // as it was asked for; "" where that could not be read
	Known    bool          // whether there is such a command
	Code     wire.Code     // the result
	Duration time.Duration // from the arrival of the request to the reply's being encoded
	BytesIn  int           // the request's length
	BytesOut int           // the reply's length
}
