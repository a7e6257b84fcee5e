package mgr

import (
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An Authorizer decides whether a call may run. It is asked for every call, known or not, before it
// is queued, on the goroutine of its conn: never on the loop, and many at once.
type Authorizer interface {
	// Authorize returns nil when the call may run. An *wire.Error is the answer as it is; any other
	// error is told as result 403. It is also asked what to list for a caller: see Call.Listing.
	Authorize(call *Call) error
}

// Owner returns the Authorizer that is used unless there is another: the user that the daemon runs
// as, root, and the daemon itself may do everything; members of the group of the UNIX socket that they
// came through may read; everybody else may do nothing.
func Owner() Authorizer {
	return owner{"uid:0": true, ownUID: true, selfSubject: true}
}

type owner map[string]bool

func (o owner) Authorize(call *Call) error {
	for _, cred := range call.Peer.Creds {
		if o[cred.Subject()] {
			return nil
		}
		if member, ok := cred.(transport.GroupCredential); ok && call.Asks() == Read && member.InSocketGroup() {
			return nil
		}
	}
	if len(call.Peer.Creds) == 0 {
		return wire.Errorf(wire.CodeUnauthenticated, "", "nothing is known about you, so nothing is allowed")
	}
	return wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed for %s", wire.Shorten(call.Name), call.Peer)
}

const selfSubject = "self"

// self is the daemon's own credential, for commands that it gives itself.
type self struct{}

func (self) Subject() string { return selfSubject }
