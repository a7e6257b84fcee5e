package transport

import "time"

// FrameLimits are what the conns of a listener may take: see the fields of the same names of
// StreamConfig, and of each transport.
type FrameLimits struct {
	MaxFrame           int
	Idle, FrameTimeout time.Duration
}

// FrameLimitsOf returns what changing says, if anybody does, or else what is fixed: each transport of ours
// has both. It is asked for each conn, so that the limits of a listener may change while it is open.
func FrameLimitsOf(changing func() FrameLimits, fixed FrameLimits) FrameLimits {
	if changing != nil {
		return changing()
	}
	return fixed
}
