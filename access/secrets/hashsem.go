package secrets

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// The number of hashes that are computed at a time, and of goroutines that wait to compute one. With one at a time, a
// flood of claims keeps one core of the machine busy, not all of them.
const (
	maxHashing = 1
	maxWaiting = 32
)

// A hashSem is a semaphore that bounds the hashes which are computed at a time. Goroutines acquire it in the order of
// their arrival.
type hashSem struct {
	slots   chan struct{} // has one element for each goroutine that holds the semaphore
	waiting atomic.Int32
}

func newHashSem() *hashSem { return &hashSem{slots: make(chan struct{}, maxHashing)} }

// acquire blocks until the semaphore is acquired. The caller must release it. The error is a *SlowDownError when too
// many goroutines wait, or the cause of ctx.
func (s *hashSem) acquire(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > maxWaiting {
		return &transport.SlowDownError{After: 2 * time.Second} // in that time the waiting goroutines have computed their hashes
	}
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *hashSem) release() { <-s.slots }
