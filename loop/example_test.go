package loop_test

import (
	"context"
	"fmt"

	"github.com/rudderpost/rudderpost/loop"
)

// A daemon without a loop of its own runs this one on its main goroutine.
func ExampleLoop_Run() {
	l := loop.New()
	leases := map[string]int{} // only functions on the loop use it, so it needs no lock

	go func() { // another part of the daemon
		_ = l.Post(func() { leases["192.0.2.1"]++ })
		_ = l.Post(func() { fmt.Println(leases) })
		l.Close()
	}()

	if err := l.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: map[192.0.2.1:1]
}

// A daemon with a select loop adds one case.
func ExampleLoop_Ready() {
	l := loop.New()
	packets := make(chan string)
	seen := 0 // only this goroutine uses it

	go func() {
		packets <- "discover"
		_ = l.Post(func() { fmt.Println("seen so far:", seen) })
		_ = l.Post(l.Close)
		close(packets)
	}()

	for open := true; open; {
		select {
		case _, open = <-packets:
			if open {
				seen++
			}
		case <-l.Ready():
			l.Poll()
		}
	}
	l.Close()
	l.Poll() // runs the functions that are in the queue
	// Output: seen so far: 1
}

// Workers read a variable without a lock. A function on the loop changes it inside a section, while the workers are paused.
func ExampleCriticalSection() {
	l := loop.New()
	greeting := "Hello"
	workers := loop.NewPool(4, 100)
	var section loop.CriticalSection
	if err := section.Add("workers", workers); err != nil {
		fmt.Println(err)
	}

	greet := func() { fmt.Println(greeting, "Ann.") }
	_ = l.Post(func() {
		section.Do(context.Background(), l, func(err error) {
			if err != nil {
				fmt.Println(err)
			}
			greeting = "Good evening,"
			_ = workers.Submit(greet) // runs after the section
			l.Close()
		})
	})
	_ = l.Run(context.Background())
	workers.Close()
	// Output: Good evening, Ann.
}
