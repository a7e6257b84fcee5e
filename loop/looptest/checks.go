package looptest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// once: many goroutines post. Each function runs once, and those of one goroutine run in their order.
func once(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	const posters, each = 16, 500
	var ran [posters][each]atomic.Int32
	var next [posters]atomic.Int32
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				s.post(func() {
					ran[p][i].Add(1)
					if n := int(next[p].Add(1)) - 1; n != i {
						s.fail("poster %d: its function %d runs as number %d", p, i, n)
					}
				})
			}
		})
	}
	if err := s.posted(&wg); err != nil {
		return err
	}
	if err := s.waitForQueue(); err != nil {
		return err
	}
	for p := range posters {
		for i := range each {
			if n := ran[p][i].Load(); n != 1 {
				return fmt.Errorf("poster %d: its function %d ran %d times", p, i, n)
			}
		}
	}
	return nil
}

// order: if the Post of one function has returned before the Post of another begins, the first function runs first.
func order(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	const posters, each = 8, 500
	var mu sync.Mutex // one Post at a time, so that the order is known
	accepted := 0
	var next atomic.Int64
	var wg sync.WaitGroup
	for range posters {
		wg.Go(func() {
			for range each {
				mu.Lock()
				i := accepted
				accepted++
				s.post(func() {
					if n := int(next.Add(1)) - 1; n != i {
						s.fail("function %d, in the order of acceptance, runs as number %d", i, n)
					}
				})
				mu.Unlock()
			}
		})
	}
	if err := s.posted(&wg); err != nil {
		return err
	}
	if err := s.waitForQueue(); err != nil {
		return err
	}
	if n := next.Load(); n != posters*each {
		return fmt.Errorf("%d functions were accepted, %d ran", posters*each, n)
	}
	return nil
}

// notInPost: Post does not run the function itself, on the loop and on other goroutines.
func notInPost(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	here := goroutineID()
	for range 100 {
		if err := s.Post(s.watched(func() {
			if goroutineID() == here {
				s.fail("Post runs the function itself")
			}
		})); err != nil {
			return fmt.Errorf("Post refuses a function while the loop runs: %w", err)
		}
	}
	s.post(func() {
		var returned atomic.Bool
		s.post(func() {
			if !returned.Load() {
				s.fail("Post, called on the loop, runs the function itself")
			}
		})
		returned.Store(true)
	})
	if err := s.waitForQueue(); err != nil { // the function that posts has run
		return err
	}
	return s.waitForQueue() // the posted function has run
}

const many = 10_000

// busy: Post does not wait for a loop that is busy, however many functions are queued.
func busy(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	began, release := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	s.post(func() {
		close(began)
		<-release
	})
	if err := s.wait(began, "a function to run"); err != nil {
		return err
	}
	var ran atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range many / 4 {
				s.post(func() { ran.Add(1) })
			}
		})
	}
	if err := s.posted(&wg); err != nil {
		return fmt.Errorf("while the loop is busy: %w", err)
	}
	if n := ran.Load(); n != 0 {
		return fmt.Errorf("%d functions ran while another one was running", n)
	}
	free()
	if err := s.waitForQueue(); err != nil {
		return err
	}
	if n := ran.Load(); n != many {
		return fmt.Errorf("%d functions were accepted, %d ran", many, n)
	}
	return nil
}

// postOnTheLoop: a function on the loop posts many functions. They run in order, after it has returned.
func postOnTheLoop(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	var ran atomic.Int64
	done, returned := make(chan struct{}), make(chan struct{})
	s.post(func() {
		for i := range many {
			s.post(func() {
				if n := int(ran.Add(1)) - 1; n != i {
					s.fail("function %d that a function posted runs as number %d", i, n)
				}
				if i == many-1 {
					close(done)
				}
			})
		}
		if n := ran.Load(); n != 0 {
			s.fail("%d functions ran inside the one that posted them", n)
		}
		close(returned)
	})
	if err := s.wait(returned, fmt.Sprintf("%d calls of Post inside a function", many)); err != nil {
		return err
	}
	return s.wait(done, "the functions that a function posted")
}

// chain: each function posts the next one.
func chain(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	done := make(chan struct{})
	left := many // only functions on the loop use it
	var link func()
	link = func() {
		if left--; left == 0 {
			close(done)
			return
		}
		s.post(link)
	}
	s.post(link)
	return s.wait(done, "a chain of functions")
}

// beforeRun: functions that are accepted before run do not run before it, and run then.
func beforeRun(s *subject) error {
	const n = 100
	var ran, accepted, next atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			i := accepted.Load()
			if s.Post(s.watched(func() {
				ran.Add(1)
				if at := next.Add(1) - 1; at != i {
					s.fail("function %d that was accepted before run runs as number %d", i, at)
				}
			})) == nil {
				accepted.Add(1)
			}
		}
	})
	if err := s.posted(&wg); err != nil {
		return fmt.Errorf("before run: %w", err)
	}
	if ran.Load() != 0 {
		return fmt.Errorf("%d functions ran before the loop did", ran.Load())
	}
	if err := s.start(); err != nil {
		return err
	}
	if err := s.waitForQueue(); err != nil {
		return err
	}
	if ran.Load() != accepted.Load() {
		return fmt.Errorf("%d functions were accepted before run, %d ran", accepted.Load(), ran.Load())
	}
	return nil
}

// afterRun: goroutines post while the loop ends, and after that. No function runs twice, no refused function runs, and no
// function runs after run has returned.
func afterRun(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	const posters, each = 8, 500
	var ran, refused [posters][each]atomic.Int32
	var over atomic.Bool
	var wg sync.WaitGroup
	halfway := make(chan struct{}, posters)
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if i == each/2 {
					halfway <- struct{}{}
				}
				if s.Post(s.watched(func() {
					ran[p][i].Add(1)
					if over.Load() {
						s.fail("a function runs after run has returned")
					}
				})) != nil {
					refused[p][i].Store(1)
				}
			}
		})
	}
	first := make(chan struct{})
	go func() { <-halfway; close(first) }()
	if err := s.wait(first, "Post to return"); err != nil {
		return err
	}
	if err := s.stop(); err != nil {
		return err
	}
	over.Store(true)
	if err := s.posted(&wg); err != nil {
		return fmt.Errorf("after run: %w", err)
	}
	for p := range posters {
		for i := range each {
			n := ran[p][i].Load()
			if n > 1 {
				return fmt.Errorf("a function ran %d times", n)
			}
			if n > 0 && refused[p][i].Load() != 0 {
				return errors.New("a function ran that Post had refused")
			}
		}
	}
	return s.found()
}

// memory is for the race detector: functions on the loop share data without a lock, and read data that was written before
// their Post.
func memory(s *subject) error {
	if err := s.start(); err != nil {
		return err
	}
	state := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				message := new(int)
				*message = 1
				s.post(func() { state += *message })
			}
		})
	}
	if err := s.posted(&wg); err != nil {
		return err
	}
	if err := s.waitForQueue(); err != nil {
		return err
	}
	if state != 800 {
		return fmt.Errorf("800 functions each added 1, to %d", state)
	}
	return nil
}

// posted waits for goroutines that only post.
func (s *subject) posted(wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return s.wait(done, "Post to return")
}
