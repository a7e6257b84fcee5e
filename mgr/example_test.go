package mgr_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"
)

// quiet is for examples: a daemon logs a line for each command.
var quiet = &mgr.Options{Logger: slog.New(slog.DiscardHandler)}

func Example() {
	type in struct {
		Name string `json:"name" doc:"Whom to greet."`
	}
	greet := func(_ context.Context, in in) (string, error) { return "Hello, " + in.Name + ".", nil }

	m := mgr.New(quiet)
	err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read, greet))
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	place := pipe.New() // a daemon would have a &unix.Transport{Path: "/run/greeter/control.sock"}
	if _, err := m.Open(ctx, place); err != nil {
		panic(err)
	}
	go func() { // an operator
		defer stop()
		reply, _ := client.Do(ctx, place, wire.Request{Command: "greet", Arguments: wire.Value(`{"name": "Ann"}`)})
		fmt.Println(reply.Code, string(reply.Arguments.(wire.Value)))
	}()
	err = m.Run(ctx)
	fmt.Println("drained:", err)
	// Output:
	// success "Hello, Ann."
	// drained: <nil>
}

// An Async command waits beside the loop, and enters it for a moment.
func ExampleOnLoop() {
	copies := 0 // belongs to the loop
	backup := func(ctx context.Context, _ mgr.None) (int, error) {
		time.Sleep(time.Millisecond) // copy
		var n int
		err := mgr.OnLoop(ctx, func() error {
			copies++
			n = copies
			return nil
		})
		return n, err
	}
	m := mgr.New(quiet)
	_ = m.Register(mgr.Async("backup", "Copy the database.", mgr.Write, backup))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, err := m.Process(ctx, wire.Request{Command: "backup"})
		fmt.Println(reply.Arguments, err)
	}()
	_ = m.Run(ctx)
	// Output: 1 <nil>
}

// A hook that is asked instead of the handler, or before it.
func ExampleCommandMgr_Use() {
	m := mgr.New(quiet)
	m.Use(func(next mgr.Handler) mgr.Handler {
		return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
			if call.Name == "ping" {
				return wire.Reply{Text: "pong"}, nil
			}
			return next(ctx, call)
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, _ := m.Process(ctx, wire.Request{Command: "ping"})
		fmt.Println(reply.Text)
	}()
	_ = m.Run(ctx)
	// Output: pong
}
