package mgr

import (
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// An Authorizer decides for each call whether it may run. The manager calls it for each call, also for unknown commands,
// before it queues the call. It runs on the reader goroutine of the conn, never on the loop, and many run at a time.
type Authorizer interface {
	// Authorize returns nil when the call may run. The reply has an *wire.Error as it is; any other error becomes result
	// 403 with the error's text. A panic becomes result 500. With call.Listing set, Authorize reports whether the peer may
	// run the command with any arguments at all; see Call.Listing.
	Authorize(call *Call) error
}

// Owner returns the default Authorizer. The user that the daemon runs as, root, and the daemon itself may run all commands.
// A member of the group of the UNIX socket through which it connects may run commands of level Read. Other peers may run
// nothing: result 403, or 401 for a peer without credentials.
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

// self is the credential of the daemon itself, for commands that it runs with Process.
type self struct{}

func (self) Subject() string { return selfSubject }
