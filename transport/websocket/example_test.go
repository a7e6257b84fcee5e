package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

// A daemon with an HTTP server mounts a Handler on its mux. The requests become the conns of the Handler's listener. In a
// daemon the manager serves that listener.
func ExampleHandler() {
	ctx := context.Background()
	control := (&websocket.Transport{
		Path:          "/control",
		AllowOrigins:  []string{"https://console.example"},
		Authenticator: book{}, // one that knows the user ann
	}).Handler()
	mux := http.NewServeMux()
	mux.Handle("/control", control)

	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(socket) }()
	defer func() { _ = server.Close() }()

	l, err := control.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := (&websocket.Transport{
		Address:     socket.Addr().String(),
		Path:        "/control",
		Credentials: transport.Claim{User: "ann", Password: "pass:word"},
	}).Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.Send(ctx, []byte(`{"command": "version-get"}`)); err != nil {
		log.Fatal(err)
	}

	daemon, err := l.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = daemon.Close() }()
	request, err := daemon.Receive(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(request), daemon.Peer())
	// Output: {"command": "version-get"} user:ann
}
