package pipe_test

import (
	"context"
	"fmt"

	"github.com/rudderpost/rudderpost/transport/pipe"
)

func Example() {
	ctx := context.Background()
	p := pipe.New()
	listener, err := p.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer func() { _ = listener.Close() }()

	client, err := p.Dial(ctx)
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close() }()
	_ = client.Send(ctx, []byte(`{"command": "version-get"}`))

	server, err := listener.Accept(ctx)
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Close() }()
	request, err := server.Receive(ctx, nil)
	fmt.Printf("%v: %s %v\n", server.Peer(), request, err)
	// Output: self: {"command": "version-get"} <nil>
}
