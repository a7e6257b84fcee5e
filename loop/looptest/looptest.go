package looptest

import (
	"context"
	"testing"

	"github.com/rudderpost/rudderpost/loop"
)

// Test checks that
//
//   - every accepted function runs exactly once, and one that was refused never;
//   - functions run in the order in which they were accepted, whoever posted them;
//   - they run one at a time, all on the goroutine that called run, and what one of them wrote the
//     next one may read without a lock;
//   - Post never runs a function itself, and never waits: not while the loop is busy, not with ten
//     thousand functions queued, and not when a function of the loop calls it;
//   - run returns when its context has ended, and a Post after that does no harm.
//
// Each check is a subtest with a loop of its own. newPoster makes a new event loop. run is called
// once, on a goroutine that does nothing else: it runs the loop there until ctx ends, and then
// returns. A loop that accepts nothing before it runs, or after, says so by Post's error.
func Test(t *testing.T, newPoster func(t testing.TB) (p loop.Poster, run func(ctx context.Context))) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			p, run := newPoster(t)
			if err := c.on(p, run); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A check is one promise.
type check struct {
	name string
	f    func(*subject) error
}

var checks = []check{
	{"Once", once},
	{"Order", order},
	{"Elsewhere", elsewhere},
	{"Busy", busy},
	{"FromInside", fromInside},
	{"Chain", chain},
	{"BeforeRun", beforeRun},
	{"AfterRun", afterRun},
	{"Memory", memory},
}

// on makes the check, on a goroutine of its own, so that a Post that never returns is found as well.
func (c check) on(p loop.Poster, run func(context.Context)) error {
	s := newSubject(p, run)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = c.f(s)
	}()
	if stuck := s.waitFor(2*patience, done, "Post to return"); stuck != nil {
		s.cancel()
		return stuck
	}
	if stopped := s.stop(); err == nil {
		err = stopped
	}
	return err
}
