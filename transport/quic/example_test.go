package quic_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// The daemon's side and the client's side, with certificates of a private CA.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	trust, err := tlsconf.Auto(dir, []string{"127.0.0.1"})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	l, err := (&quic.Transport{Address: "127.0.0.1:0", TLS: trust}).Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close() }()

	at := &quic.Transport{Address: l.Addr().String(), Client: &tlsconf.Client{
		CA: dir + "/ca.pem", Cert: dir + "/admin.pem", Key: dir + "/admin.key",
	}}
	client, err := at.Dial(ctx)
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
	cert, _ := transport.CredAs[tlsconf.Cert](daemon.Peer())
	fmt.Println(string(request), cert.Subject())
	// Output: {"command": "version-get"} cert:admin
}
