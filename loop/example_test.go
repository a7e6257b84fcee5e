package loop_test

import (
	"context"
	"fmt"

	"github.com/rudderpost/rudderpost/loop"
)

// A daemon without a loop of its own lends its main goroutine.
func ExampleLoop_Run() {
	l := loop.New()
	leases := map[string]int{} // touched on the loop only, so without a lock

	go func() { // somebody else
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
	seen := 0 // touched on the loop only

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
	l.Poll() // what was accepted still runs
	// Output: seen so far: 1
}

// Workers read what they need without locks; to change it, a function on the loop has them pause.
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
			_ = workers.Submit(greet) // runs when the section has been left
			l.Close()
		})
	})
	_ = l.Run(context.Background())
	workers.Close()
	// Output: Good evening, Ann.
}
