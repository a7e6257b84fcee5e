package hooks_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// A greeter is a hook library that is compiled in. It adds one command.
type greeter struct{}

func (greeter) Load(_ context.Context, h *hooks.Host) error {
	h.Add(mgr.Func("greet", "Say hello.", mgr.Read, func(context.Context, mgr.None) (string, error) {
		return "hello", nil
	}))
	return nil
}

func (greeter) Unload(context.Context) {}

// A daemon with one hook library that is compiled in. The daemon sets the configuration before it runs, so no handler is
// on the loop yet and Commit can be called at once. Later a change is committed with mgr.OnLoop.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	set := &hooks.Set{Manager: m, Libraries: map[string]func() hooks.Library{
		"greeter": func() hooks.Library { return greeter{} },
	}}
	if err := m.Register(set.Commands()...); err != nil {
		panic(err)
	}
	change, err := set.Prepare(ctx, []hooks.Config{{Name: "greeter"}})
	if err != nil {
		panic(err)
	}
	if err := change.Commit(); err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }() // with the transports of the daemon

	reply, err := m.ProcessEncoded(ctx, wire.Request{Command: "greet"})
	if err != nil {
		panic(err)
	}
	fmt.Println(reply.Code, reply.Arguments)

	cancel()
	fmt.Println(<-ended, set.Close(context.Background()))
	// Output:
	// success "hello"
	// <nil> <nil>
}
