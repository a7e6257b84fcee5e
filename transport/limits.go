package transport

import "time"

// FrameLimits are the limits of the conns of a listener. Each field means the field of StreamConfig of the same name, with
// the same defaults.
type FrameLimits struct {
	MaxFrame           int // bytes
	Idle, FrameTimeout time.Duration
}
