package transport_test

import (
	"context"
	"fmt"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// Each net.Conn becomes a Conn.
func ExampleNewStream() {
	here, there := net.Pipe()
	conn := transport.NewStream(there, transport.StreamConfig{
		Peer: transport.Peer{Transport: "serial", Session: transport.NewSession("serial")},
	})
	defer func() { _ = conn.Close() }()

	go func() {
		_, _ = here.Write([]byte("# a comment\n{ \"command\": \"list-commands\" }[ 1,"))
		_, _ = here.Write([]byte(" 2 ]"))
		_ = here.Close()
	}()
	for {
		frame, err := conn.Receive(context.Background(), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", frame)
	}
	// Output:
	// { "command": "list-commands" }
	// [ 1, 2 ]
	// EOF
}
