//go:build unix && !aix

package unix_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// The daemon's side and the client's side of one conn.
func Example() {
	dir, err := os.MkdirTemp("", "example") // mode 0700
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	at := &unix.Transport{Path: filepath.Join(dir, "control.sock")}
	ctx := context.Background()

	l, err := at.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close() }()
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
	cred, _ := transport.CredAs[unix.Cred](daemon.Peer())
	fmt.Println(string(request), cred.UID == uint32(os.Getuid()))
	// Output: {"command": "version-get"} true
}
