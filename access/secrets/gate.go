package secrets

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// How many hashes are made at a time, and how many may wait for their turn. With one, a flood of
// claims takes one core from the daemon and not all of them.
const (
	maxHashing = 1
	maxWaiting = 32
)

// A gate lets in as many as may make a hash at a time, in the order of their coming.
type gate struct {
	slots   chan struct{} // holds one for each who is in
	waiting atomic.Int32
}

func newGate() *gate { return &gate{slots: make(chan struct{}, maxHashing)} }

// enter waits for a turn. Who enters must leave.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > maxWaiting {
		return &transport.SlowDownError{After: 2 * time.Second} // longer than those take who wait
	}
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) leave() { <-g.slots }
