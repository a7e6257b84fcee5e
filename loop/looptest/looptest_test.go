package looptest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/loop"
)

// flaws are the faults of a Poster that the checks must find.
type flaws struct {
	inline bool // Post runs the function itself
	loose  bool // each function runs on a goroutine of its own
	locked bool // Post waits while a function runs
	twice  bool // a function runs twice
	lifo   bool // the last function runs first
	swap   bool // two waiting functions change places
	refuse bool // Post refuses all functions
	lose   bool // one function of a hundred never runs
	lie    bool // a refused function runs
	moves  bool // run runs the functions on another goroutine
	stays  bool // run does not return when its context ends
	hangs  bool // only the timeout of a check finds the fault
}

// queue is a Poster with the given faults.
type queue struct {
	flaws

	mu    sync.Mutex
	funcs []func()
	posts int
	wake  chan struct{}
	letGo chan struct{}
}

func newQueue(f flaws) *queue {
	return &queue{flaws: f, wake: make(chan struct{}, 1), letGo: make(chan struct{})}
}

func (q *queue) Post(f func()) error {
	if q.inline {
		f()
		return nil
	}
	if q.loose {
		go f()
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.posts++
	switch {
	case q.refuse:
		return errors.New("refused")
	case q.lose && q.posts%100 == 99:
		return nil
	case q.twice && q.posts == 50:
		q.funcs = append(q.funcs, f)
	}
	q.funcs = append(q.funcs, f)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	if q.lie && q.posts%100 == 99 {
		return errors.New("refused")
	}
	return nil
}

func (q *queue) run(ctx context.Context) {
	if q.moves {
		var wg sync.WaitGroup
		wg.Go(func() { q.loop(ctx) })
		wg.Wait()
		return
	}
	q.loop(ctx)
	if q.stays {
		<-q.letGo
	}
}

func (q *queue) loop(ctx context.Context) {
	for {
		select {
		case <-q.wake:
			q.poll()
		case <-ctx.Done():
			return
		}
	}
}

func (q *queue) poll() {
	for {
		q.mu.Lock()
		if len(q.funcs) == 0 {
			q.mu.Unlock()
			return
		}
		if n := len(q.funcs); q.swap && n > 1 {
			q.funcs[0], q.funcs[1] = q.funcs[1], q.funcs[0]
		} else if q.lifo {
			q.funcs[0], q.funcs[n-1] = q.funcs[n-1], q.funcs[0]
		}
		f := q.funcs[0]
		q.funcs = q.funcs[1:]
		if q.locked {
			f()
			q.mu.Unlock()
			continue
		}
		q.mu.Unlock()
		f()
	}
}

// bounded is a Poster whose Post waits while the queue is full.
type bounded chan func()

func (b bounded) Post(f func()) error {
	b <- f
	return nil
}

func (b bounded) run(ctx context.Context) {
	for {
		select {
		case f := <-b:
			f()
		case <-ctx.Done():
			return
		}
	}
}

func TestCorrectPosterPasses(t *testing.T) {
	Test(t, func(testing.TB) (loop.Poster, func(context.Context)) {
		q := newQueue(flaws{})
		return q, q.run
	})
}

// Each fault is found by the checks that are for it.
func TestEachFaultIsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		flaws flaws
		by    []string
		says  string
	}{
		{"none", flaws{}, []string{"Once", "Order", "NotInPost", "Busy", "PostOnTheLoop", "Chain", "BeforeRun", "AfterRun", "Memory"}, ""},
		{"inline", flaws{inline: true}, []string{"NotInPost", "PostOnTheLoop"}, "a function runs on goroutine"},
		{"a goroutine each", flaws{loose: true}, []string{"Once", "Order", "NotInPost"}, " run"},
		{"another goroutine", flaws{moves: true}, []string{"Once", "Chain"}, "a function runs on goroutine"},
		{"twice", flaws{twice: true}, []string{"Once", "Order"}, "runs as number"},
		{"last in, first out", flaws{lifo: true}, []string{"PostOnTheLoop", "BeforeRun"}, "runs as number"},
		{"swapped", flaws{swap: true}, []string{"PostOnTheLoop", "BeforeRun"}, "runs as number"},
		{"loses functions", flaws{lose: true}, []string{"Once", "Order", "PostOnTheLoop"}, "runs as number"},
		{"lies", flaws{lie: true}, []string{"Once", "Order", "PostOnTheLoop"}, "Post refuses a function"},
		{"waiting inline", flaws{inline: true, hangs: true}, []string{"Busy"}, "a function runs on goroutine"},
		{"refuses all", flaws{refuse: true, hangs: true}, []string{"Once"}, "accepts nothing"},
		{"locked", flaws{locked: true, hangs: true}, []string{"PostOnTheLoop", "Chain"}, "in vain"},
		{"stays", flaws{stays: true, hangs: true}, []string{"NotInPost"}, "in vain"},
	} {
		for _, c := range checks {
			if !slices.Contains(test.by, c.name) {
				continue
			}
			t.Run(test.name+"/"+c.name, func(t *testing.T) {
				defer func(d time.Duration) { timeout = d }(timeout)
				if test.flaws.hangs {
					timeout = time.Second
				}
				q := newQueue(test.flaws)
				defer close(q.letGo)
				err := c.on(q, q.run)
				if test.says == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.says)
				}
			})
		}
	}
}

// A Post that waits while the queue is full is found.
func TestPostThatWaitsIsFound(t *testing.T) {
	defer func(d time.Duration) { timeout = d }(timeout)
	timeout = time.Second / 2
	for _, c := range checks {
		if c.name != "Busy" {
			continue
		}
		b := make(bounded, 100)
		require.ErrorContains(t, c.on(b, b.run), "in vain")
	}
}
