package main

import (
	"context"
	"sync"
	"time"
)

// A lag says how long a function waits for the loop.
type lag struct {
	mu   sync.Mutex
	last time.Duration
	sent time.Time // when the one was posted that waits now; zero: none does
}

// lagEvery is how often it is measured.
const lagEvery = time.Second

// measure measures until ctx ends.
func (l *lag) measure(ctx context.Context, post func(func()) error) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		if l.send() && post(l.arrived) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// send notes that a function is posted now, unless one still waits.
func (l *lag) send() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.sent.IsZero() {
		return false
	}
	l.sent = time.Now()
	return true
}

// arrived runs on the loop.
func (l *lag) arrived() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.sent = time.Since(l.sent), time.Time{}
}

// seconds returns the last measure, or, when that is more, how long the next one has taken so far: a loop
// that is stuck has no last measure that says so.
func (l *lag) seconds() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent.IsZero() {
		return l.last.Seconds()
	}
	return max(l.last, time.Since(l.sent)).Seconds()
}
