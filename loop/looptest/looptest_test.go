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

// flaws are what may be wrong with an entrance.
type flaws struct {
	inline bool // Post runs the function itself
	loose  bool // each function runs on a goroutine of its own
	locked bool // a function runs while Post is kept out
	twice  bool // a function runs twice
	lifo   bool // the last one comes first
	swap   bool // functions that wait together change places
	deaf   bool // nothing is accepted
	leaky  bool // one of a hundred is lost
	lying  bool // a function that was refused runs
	moves  bool // run runs the functions on another goroutine
	stays  bool // run does not return before it is let go
	hangs  bool // it is the end of the check's patience that finds it
}

// queue is an entrance that keeps its promises but for its flaws.
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
	case q.deaf:
		return errors.New("deaf")
	case q.leaky && q.posts%100 == 99:
		return nil
	case q.twice && q.posts == 50:
		q.funcs = append(q.funcs, f)
	}
	q.funcs = append(q.funcs, f)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	if q.lying && q.posts%100 == 99 {
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

// bounded is an entrance that waits when it is full.
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

func TestGood(t *testing.T) {
	Test(t, func(testing.TB) (loop.Poster, func(context.Context)) {
		q := newQueue(flaws{})
		return q, q.run
	})
}

// Each kind of broken entrance is found, by the checks that are made for it.
func TestBroken(t *testing.T) {
	for _, test := range []struct {
		name  string
		flaws flaws
		by    []string
		says  string
	}{
		{"none", flaws{}, []string{"Once", "Order", "Elsewhere", "Busy", "FromInside", "Chain", "BeforeRun", "AfterRun", "Memory"}, ""},
		{"inline", flaws{inline: true}, []string{"Elsewhere", "FromInside"}, "a function runs on goroutine"},
		{"a goroutine each", flaws{loose: true}, []string{"Once", "Order", "Elsewhere"}, " run"},
		{"another goroutine", flaws{moves: true}, []string{"Once", "Chain"}, "a function runs on goroutine"},
		{"twice", flaws{twice: true}, []string{"Once", "Order"}, "runs as number"},
		{"last in, first out", flaws{lifo: true}, []string{"FromInside", "BeforeRun"}, "runs as number"},
		{"swapped", flaws{swap: true}, []string{"FromInside", "BeforeRun"}, "runs as number"},
		{"leaky", flaws{leaky: true}, []string{"Once", "Order", "FromInside"}, "runs as number"},
		{"lying", flaws{lying: true}, []string{"Once", "Order", "FromInside"}, "Post refuses a function"},
		{"waiting inline", flaws{inline: true, hangs: true}, []string{"Busy"}, "a function runs on goroutine"},
		{"deaf", flaws{deaf: true, hangs: true}, []string{"Once"}, "accepts nothing"},
		{"locked", flaws{locked: true, hangs: true}, []string{"FromInside", "Chain"}, "in vain"},
		{"stays", flaws{stays: true, hangs: true}, []string{"Elsewhere"}, "in vain"},
	} {
		for _, c := range checks {
			if !slices.Contains(test.by, c.name) {
				continue
			}
			t.Run(test.name+"/"+c.name, func(t *testing.T) {
				defer func(p time.Duration) { patience = p }(patience)
				if test.flaws.hangs {
					patience = time.Second // and then the check gives up
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

// An entrance that waits when it is full is found.
func TestBounded(t *testing.T) {
	defer func(p time.Duration) { patience = p }(patience)
	patience = time.Second / 2
	for _, c := range checks {
		if c.name != "Busy" {
			continue
		}
		b := make(bounded, 100)
		require.ErrorContains(t, c.on(b, b.run), "in vain")
	}
}
