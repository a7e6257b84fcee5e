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

// A daemon and a client use the transport like any other.
func Example() {
	dir, err := os.MkdirTemp("", "greeter") // mode 0700: only its owner may connect
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	tr := &fifo.Transport{Dir: dir}

	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read,
		func(_ context.Context, p person) (string, error) { return "Hello, " + p.Name + "!", nil })); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if _, err := m.Open(ctx, tr); err != nil { // a daemon can pass it to Run instead
		panic(err)
	}
	go func() {
		defer stop()
		c, err := client.Dial(ctx, tr)
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
