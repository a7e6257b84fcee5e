package tcp_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A daemon makes a private CA, and a client uses the certificate that the CA has issued for it.
func Example() {
	dir, err := os.MkdirTemp("", "pki")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()

	identity, err := tlsconf.Auto(dir, []string{"localhost", "127.0.0.1"})
	if err != nil {
		log.Fatal(err)
	}
	daemon := &tcp.Transport{Address: "127.0.0.1:0", TLS: identity}
	l, err := daemon.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close() }()

	client := &tcp.Transport{Address: l.Addr().String(), Client: tlsconf.ClientFrom(dir, "admin")}
	conn, err := client.Dial(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	accepted, err := l.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(accepted.Peer().Transport, accepted.Peer().Creds[0].Subject())
	_ = accepted.Close()
	// Output: tls cert:admin
}
