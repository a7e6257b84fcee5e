package looptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/loop"
)

// patience is how long a loop may take for what it does at once.
var patience = 30 * time.Second

// A subject is the loop under test.
type subject struct {
	loop.Poster

	run    func(ctx context.Context)
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned; nil before start

	goroutine atomic.Int64 // where run was called
	inside    atomic.Bool  // a function is running
	defect    atomic.Pointer[error]
}

func newSubject(p loop.Poster, run func(context.Context)) *subject {
	s := &subject{Poster: p, run: run}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// start calls run, and waits until it accepts and runs functions.
func (s *subject) start() error {
	s.ended = make(chan struct{})
	started := make(chan struct{})
	go func() {
		defer close(s.ended)
		s.goroutine.Store(goroutineID())
		close(started)
		s.run(s.ctx)
	}()
	<-started
	ran := make(chan struct{})
	deadline := time.Now().Add(patience)
	for s.Post(func() { close(ran) }) != nil { // it may accept nothing until it runs
		if time.Now().After(deadline) {
			return errors.New("run was called, and Post still accepts nothing")
		}
		runtime.Gosched()
	}
	return s.wait(ran, "the first function to run")
}

// stop ends the context and waits for run.
func (s *subject) stop() error {
	s.cancel()
	if s.ended == nil {
		return nil
	}
	if err := s.wait(s.ended, "run to return after its context has ended"); err != nil {
		return err
	}
	return s.found()
}

// wait waits for what should happen by itself.
func (s *subject) wait(done <-chan struct{}, what string) error {
	return s.waitFor(patience, done, what)
}

func (s *subject) waitFor(limit time.Duration, done <-chan struct{}, what string) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return s.found()
	case <-timer.C:
		if err := s.found(); err != nil {
			return err
		}
		return fmt.Errorf("waited %v in vain for %s", limit, what)
	}
}

// fail notes a defect; the first one counts.
func (s *subject) fail(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	s.defect.CompareAndSwap(nil, &err)
}

func (s *subject) found() error {
	if err := s.defect.Load(); err != nil {
		return *err
	}
	return nil
}

// watched wraps a function to be posted: it must be alone, and where run was called.
func (s *subject) watched(f func()) func() {
	return func() {
		if s.inside.Swap(true) {
			s.fail("two functions run at the same time, or one inside another")
		}
		defer s.inside.Store(false)
		if here := goroutineID(); here != s.goroutine.Load() {
			s.fail("a function runs on goroutine %d, run was called on %d", here, s.goroutine.Load())
		}
		f()
	}
}

// post posts what must be accepted.
func (s *subject) post(f func()) {
	if err := s.Post(s.watched(f)); err != nil {
		s.fail("Post refuses a function while the loop runs: %w", err)
	}
}

// settle waits until everything that was accepted before has run.
func (s *subject) settle() error {
	done := make(chan struct{})
	s.post(func() { close(done) })
	return s.wait(done, "a function to run")
}

// goroutineID reads the number of this goroutine from its stack trace, "goroutine 18 [running]:…".
func goroutineID() int64 {
	buf := make([]byte, 64)
	fields := bytes.Fields(buf[:runtime.Stack(buf, false)])
	id, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}
