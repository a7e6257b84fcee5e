package hooks

import (
	"context"
	"errors"
	"time"
)

// finish lets the process end in order: it answers what it has, its stdin is closed, it is asked to end,
// and it is killed.
func (l *life) finish(hurry context.Context) {
	l.mu.Lock()
	l.leaving = true
	l.checkQuiet()
	l.mu.Unlock()
	l.within(hurry, l.c.grace, l.quiet)
	l.proc.CloseInput()
	l.within(hurry, l.c.grace, l.ended)
	l.proc.Terminate()
	l.within(hurry, min(l.c.grace, 2*time.Second), l.ended)
	l.end(errStopped)
	l.wait()
}

var errStopped = errors.New("it is stopped")

// within waits for a thing, not too long.
func (l *life) within(hurry context.Context, most time.Duration, thing <-chan struct{}) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-thing:
	case <-l.ended:
	case <-timer.C:
	case <-hurry.Done():
	}
}

// checkQuiet notes whether a life that is to end has no calls left. l.mu is held.
func (l *life) checkQuiet() {
	if !l.leaving || len(l.calls) > 0 {
		return
	}
	select {
	case <-l.quiet:
	default:
		close(l.quiet)
	}
}
