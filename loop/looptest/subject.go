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

// timeout is the longest time that a check waits for an event. A correct loop needs much less.
var timeout = 30 * time.Second

// A subject is the loop under test.
type subject struct {
	loop.Poster

	run    func(ctx context.Context)
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned; nil before start

	goroutine atomic.Int64 // the number of the goroutine that called run
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
	deadline := time.Now().Add(timeout)
	for s.Post(func() { close(ran) }) != nil { // the loop may refuse functions until it runs
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

// wait waits until done is closed. what completes the error text "waited … in vain for".
func (s *subject) wait(done <-chan struct{}, what string) error {
	return s.waitFor(timeout, done, what)
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

// fail notes a defect. Only the first one is reported.
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

// watched wraps a function so that it notes a defect if it does not run alone, or not on the goroutine that called run.
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

// post posts a function. It is a defect if Post returns an error.
func (s *subject) post(f func()) {
	if err := s.Post(s.watched(f)); err != nil {
		s.fail("Post refuses a function while the loop runs: %w", err)
	}
}

// waitForQueue waits until all functions that were accepted before have run.
func (s *subject) waitForQueue() error {
	done := make(chan struct{})
	s.post(func() { close(done) })
	return s.wait(done, "a function to run")
}

// goroutineID returns the number of the calling goroutine, from its stack trace: "goroutine 18 [running]:…".
func goroutineID() int64 {
	buf := make([]byte, 64)
	fields := bytes.Fields(buf[:runtime.Stack(buf, false)])
	id, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}
