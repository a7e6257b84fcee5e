package looptest

import (
	"context"
	"testing"

	"github.com/rudderpost/rudderpost/loop"
)

// Test checks that
//
//   - each function whose Post has returned nil runs exactly once, and the others never;
//   - functions run in the order of their Posts, whatever goroutines call Post;
//   - functions run one at a time, on the goroutine that called run, and a function may read without a lock what an earlier
//     one has written;
//   - Post does not run a function itself, and does not wait: not while the loop is busy, not with ten thousand functions in
//     the queue, and not when a function on the loop calls it;
//   - run returns when its context has ended, and a later Post does no harm.
//
// Each check is a subtest with an event loop of its own. newPoster returns a new event loop, and a function run that runs it.
// Test calls run once, on a goroutine of its own. run returns when ctx has ended. If the loop accepts no functions before
// run, or after it, Post must return an error then. A check fails if the loop does nothing for 30 seconds.
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

// A check tests one promise.
type check struct {
	name string
	f    func(*subject) error
}

var checks = []check{
	{"Once", once},
	{"Order", order},
	{"NotInPost", notInPost},
	{"Busy", busy},
	{"PostOnTheLoop", postOnTheLoop},
	{"Chain", chain},
	{"BeforeRun", beforeRun},
	{"AfterRun", afterRun},
	{"Memory", memory},
}

// on runs the check on a goroutine of its own, so that it also finds a Post that never returns.
func (c check) on(p loop.Poster, run func(context.Context)) error {
	s := newSubject(p, run)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = c.f(s)
	}()
	if timedOut := s.waitFor(2*timeout, done, "Post to return"); timedOut != nil {
		s.cancel()
		return timedOut
	}
	if stopped := s.stop(); err == nil {
		err = stopped
	}
	return err
}
