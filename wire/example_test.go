package wire_test

import (
	"fmt"

	"github.com/rudderpost/rudderpost/wire"
)

// A server decodes the request in a frame, and answers it.
func Example() {
	request, rerr := wire.DecodeRequest([]byte(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`))
	if rerr != nil {
		panic(rerr)
	}
	fmt.Println(request.Command, string(request.Arguments))

	frame, err := wire.AppendReply(nil, wire.Reply{ID: request.ID, Arguments: map[string]any{"text": "hello"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(frame))
	// Output:
	// greet {"name":"Ann"}
	// {"id":1,"result":0,"arguments":{"text":"hello"}}
}

// A client makes a request, and reads the reply to it.
func ExampleDecodeReply() {
	frame, err := wire.AppendRequest(nil, wire.Request{Command: "greet", ID: wire.IntID(1)})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(frame))

	reply, err := wire.DecodeReply([]byte(`{"id":1,"result":403,"text":"'greet' is not allowed","error":{"code":"forbidden"}}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(reply.Code.Failed(), reply.Err())
	// Output:
	// {"command":"greet","id":1}
	// true 'greet' is not allowed
}
