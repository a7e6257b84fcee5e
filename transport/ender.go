package transport

import (
	"context"
	"sync"
	"time"
)

// An ender makes a blocked read or write end when a context does, by way of a deadline in the past.
// It remembers the context, so that calls with the same one, which is the rule, cost nothing.
type ender struct {
	set func(time.Time) error

	mu   sync.Mutex
	ctx  context.Context
	stop func() bool
	over bool // forget was called
}

// past is any time that is over.
var past = time.Unix(1, 0)

// follow makes ctx the context that counts; one that can never end is not followed. It reports
// whether it had to take back the deadline of a context that has ended.
func (e *ender) follow(ctx context.Context) (reset bool) {
	if ctx == e.ctx {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil && !e.stop() {
		_ = e.set(time.Time{})
		reset = true
	}
	e.ctx, e.stop = ctx, nil
	if ctx.Done() == nil || e.over {
		return reset
	}
	e.stop = context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.ctx == ctx {
			_ = e.set(past)
		}
	})
	return reset
}

// forget lets go of the context, and of those that follow.
func (e *ender) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.stop != nil {
		e.stop()
	}
}
