//go:build linux

package fifo_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"example.org/fifo"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
)

type person struct {
	Name string `json:"name" doc:"Whom to greet."`
}

// A daemon takes the transport as it takes any other, and so does a client.
func Example() {
	dir, err := os.MkdirTemp("", "greeter") // mode 0700: for its owner alone
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	place := &fifo.Transport{Dir: dir}

	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read,
		func(_ context.Context, p person) (string, error) { return "Hello, " + p.Name + "!", nil })); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if _, err := m.Open(ctx, place); err != nil { // a daemon would give it to Run
		panic(err)
	}
	go func() {
		defer stop()
		c, err := client.Dial(ctx, place)
		if err != nil {
			panic(err)
		}
		defer c.Close()
		fmt.Println(client.Call[string](ctx, c, "greet", person{Name: "Ann"}))
	}()
	fmt.Println(m.Run(ctx))
	// Output:
	// Hello, Ann! <nil>
	// <nil>
}
