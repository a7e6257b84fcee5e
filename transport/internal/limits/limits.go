// Package limits has the choice of the frame limits of a conn, which all transports share.
package limits

import "github.com/rudderpost/rudderpost/transport"

// Frame returns dynamic() if dynamic is not nil, and static otherwise. A listener calls it once per accepted conn, so that
// its limits can change while it is open.
func Frame(dynamic func() transport.FrameLimits, static transport.FrameLimits) transport.FrameLimits {
	if dynamic != nil {
		return dynamic()
	}
	return static
}
