package mgr_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"
)

// quiet discards the log lines of the examples.
var quiet = &mgr.Options{Logger: slog.New(slog.DiscardHandler)}

func Example() {
	type in struct {
		Name string `json:"name" doc:"The name in the greeting."`
	}
	greet := func(_ context.Context, in in) (string, error) { return "Hello, " + in.Name + ".", nil }

	m := mgr.New(quiet)
	err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read, greet))
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	tr := pipe.New() // a daemon would have a &unix.Transport{Path: "/run/greeter/control.sock"}
	if _, err := m.Open(ctx, tr); err != nil {
		panic(err)
	}
	go func() { // a client
		defer stop()
		reply, _ := client.Do(ctx, tr, wire.Request{Command: "greet", Arguments: wire.Value(`{"name": "Ann"}`)})
		fmt.Println(reply.Code, string(reply.Arguments.(wire.Value)))
	}()
	err = m.Run(ctx)
	fmt.Println("drained:", err)
	// Output:
	// success "Hello, Ann."
	// drained: <nil>
}

// The handler of an Async command may block. It accesses the state of the loop inside OnLoop.
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

// This middleware answers "ping" instead of a handler.
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

// Process runs a command for the daemon itself, with the rights of the subject "self".
func ExampleCommandMgr_Process() {
	m := mgr.New(quiet)
	_ = m.Register(mgr.Func("greet", "Say hello.", mgr.Read, func(_ context.Context, in struct {
		Name string `json:"name"`
	}) (string, error) {
		return "Hello, " + in.Name + ".", nil
	}))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		for _, arguments := range []string{`{"name":"Ann"}`, `{"nome":"Ann"}`} {
			reply, err := m.Process(ctx, wire.Request{Command: "greet", Arguments: wire.Value(arguments)})
			fmt.Println(reply.Code, reply.Text, reply.Arguments, err)
		}
	}()
	_ = m.Run(ctx)
	// Output:
	// success  Hello, Ann. <nil>
	// failed Missing mandatory 'name' parameter. (and 1 more) <nil> <nil>
}

// weekdays is an Authorizer that allows commands above level Read on weekdays only.
type weekdays struct{ now func() time.Time }

func (w weekdays) Authorize(call *mgr.Call) error {
	if err := mgr.Owner().Authorize(call); err != nil {
		return err
	}
	if day := w.now().Weekday(); call.Asks() > mgr.Read && (day == time.Saturday || day == time.Sunday) {
		return wire.Errorf(wire.CodeForbidden, "weekend", "'%s' is not allowed on a %s", call.Name, day)
	}
	return nil
}

// An Authorizer may narrow the rights that another one gives.
func ExampleAuthorizer() {
	sunday := func() time.Time { return time.Date(2026, time.November, 29, 12, 0, 0, 0, time.UTC) }
	m := mgr.New(&mgr.Options{Logger: quiet.Logger, Authorizer: weekdays{sunday}})
	_ = m.Register(mgr.Func("restart", "Restart the service.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
		return mgr.None{}, nil
	}))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, _ := m.Process(ctx, wire.Request{Command: "restart"})
		fmt.Println(reply.Code, reply.Text)
	}()
	_ = m.Run(ctx)
	// Output: forbidden 'restart' is not allowed on a Sunday
}

// MaxAccess limits a listener: here its peers can only read, though the Authorizer would allow more.
func ExampleListenerConfig() {
	m := mgr.New(quiet)
	_ = m.Register(mgr.Func("restart", "Restart the service.", mgr.Write, func(context.Context, mgr.None) (mgr.None, error) {
		return mgr.None{}, nil
	}))
	ctx, stop := context.WithCancel(context.Background())
	tr := pipe.New()
	if _, err := m.Open(ctx, &mgr.ListenerConfig{Transport: tr, Name: "monitoring", MaxAccess: mgr.Read}); err != nil {
		panic(err)
	}
	go func() {
		defer stop()
		reply, _ := client.Do(ctx, tr, wire.Request{Command: "restart"})
		fmt.Println(reply.Text)
	}()
	_ = m.Run(ctx)
	// Output: 'restart' is not allowed through monitoring: it needs write access, and this listener allows at most read
}

// A Result sets the result and the text of a reply. Result 3 says that there is nothing to return, and is no failure.
func ExampleResult() {
	find := func(_ context.Context, in struct {
		Name string `json:"name"`
	}) (mgr.Result[[]string], error) {
		return mgr.Result[[]string]{Code: wire.CodeEmpty, Text: "there is no lease for '" + in.Name + "'", Arguments: []string{}}, nil
	}
	m := mgr.New(quiet)
	_ = m.Register(mgr.Func("lease-find", "Find the leases of a name.", mgr.Read, find))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, _ := m.Process(ctx, wire.Request{Command: "lease-find", Arguments: wire.Value(`{"name":"ann"}`)})
		fmt.Println(reply.Code, reply.Text, reply.Arguments)
	}()
	_ = m.Run(ctx)
	// Output: empty there is no lease for 'ann' []
}

// A Secret in the arguments is never printed or logged.
func ExampleSecret() {
	type in struct {
		User     string     `json:"user"`
		Password mgr.Secret `json:"password"`
	}
	add := func(_ context.Context, in in) (string, error) {
		return fmt.Sprintf("added %+v, with %d characters", in, len(in.Password.Reveal())), nil
	}
	m := mgr.New(quiet)
	_ = m.Register(mgr.Func("user-add", "Add a user.", mgr.Admin, add))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, _ := m.Process(ctx, wire.Request{Command: "user-add", Arguments: wire.Value(`{"user":"ann","password":"s3cret"}`)})
		fmt.Println(reply.Arguments)
	}()
	_ = m.Run(ctx)
	// Output: added {User:ann Password:***}, with 6 characters
}

// A critical command runs while the worker threads of the daemon have paused.
func ExampleCritical() {
	var section loop.CriticalSection
	workers := loop.NewPool(2, 16)
	defer workers.Close()
	_ = section.Add("workers", workers)

	table := map[string]int{} // the workers read it without a lock
	m := mgr.New(&mgr.Options{Logger: quiet.Logger, Critical: &section})
	_ = m.Register(mgr.Func("set", "Change the table.", mgr.Write, func(context.Context, mgr.None) (int, error) {
		table["a"]++
		return table["a"], nil
	}, mgr.Critical()))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer stop()
		reply, _ := m.Process(ctx, wire.Request{Command: "set"})
		fmt.Println(reply.Code, reply.Arguments)
	}()
	_ = m.Run(ctx)
	// Output: success 1
}
