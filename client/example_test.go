package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"
)

// serve runs a daemon that greets, until stop is called.
func serve() (place *pipe.Transport, stop func()) {
	type in struct {
		Name string `json:"name"`
	}
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler)})
	err := m.Register(mgr.Func("greet", "Say hello.", mgr.Read, func(_ context.Context, in in) (string, error) {
		return "Hello, " + in.Name + ".", nil
	}))
	if err != nil {
		panic(err)
	}
	place = pipe.New()
	if _, err := m.Open(context.Background(), place); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()
	return place, func() {
		cancel()
		<-ended
	}
}

func ExampleCall() {
	place, stop := serve()
	defer stop()
	ctx := context.Background()

	c, err := client.Dial(ctx, place)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	greeting, err := client.Call[string](ctx, c, "greet", map[string]any{"name": "Ann"})
	fmt.Println(greeting, err)

	_, err = client.Call[string](ctx, c, "greet", nil)
	if failed, ok := errors.AsType[*wire.Error](err); ok {
		fmt.Println(failed.Code, failed.Fields)
	}
	// Output:
	// Hello, Ann. <nil>
	// failed [{/name Missing mandatory 'name' parameter.}]
}

func ExampleDo() {
	place, stop := serve()
	defer stop()

	reply, err := client.Do(context.Background(), place, wire.Request{Command: "sing"})
	fmt.Println(reply.Code, reply.Text, err)
	// Output: unsupported 'sing' command not supported. <nil>
}
