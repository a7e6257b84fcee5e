package loop_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/loop"
)

// BenchmarkPost measures one goroutine that posts while the loop runs.
func BenchmarkPost(b *testing.B) {
	l := loop.New()
	ran := 0
	f := func() { ran++ }
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(context.Background()) })
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if err := l.Post(f); err != nil {
			b.Fatal(err)
		}
	}
	l.Close()
	wg.Wait()
	require.Equal(b, n, ran)
}

// BenchmarkHandOff measures a goroutine that posts a function and waits until it has run.
func BenchmarkHandOff(b *testing.B) {
	l := loop.New()
	done := make(chan struct{}, 1)
	f := func() { done <- struct{}{} }
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(context.Background()) })
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Post(f); err != nil {
			b.Fatal(err)
		}
		<-done
	}
	l.Close()
	wg.Wait()
}

// BenchmarkPoll measures Post and Poll on one goroutine, as in a select loop.
func BenchmarkPoll(b *testing.B) {
	l := loop.New()
	f := func() {}
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Post(f)
		l.Poll()
	}
}

// BenchmarkPool measures a task of a pool of four workers, which one goroutine submits.
func BenchmarkPool(b *testing.B) {
	p := loop.NewPool(4, 1024)
	task := func() {}
	b.ReportAllocs()
	for b.Loop() {
		for p.Submit(task) != nil {
			runtime.Gosched()
		}
	}
	p.Close()
}
