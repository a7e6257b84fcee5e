package http_test

import (
	"context"
	"fmt"
	"log"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// One user, whose password is in the program: for an example only.
type oneUser struct{}

func (oneUser) Authenticate(_ context.Context, c transport.Claim) ([]transport.Credential, error) {
	if c.User != "ann" || c.Password != "secret" {
		return nil, transport.ErrWrongCredentials
	}
	return []transport.Credential{subject("user:ann")}, nil
}

// The daemon's side and the client's side of one POST.
func Example() {
	ctx := context.Background()
	l, err := (&http.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: oneUser{}}).Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = l.Close() }()

	at := &http.Transport{
		Address:     l.Addr().String(),
		Credentials: transport.Claim{User: "ann", Password: "secret"},
	}
	defer at.CloseIdle()
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
	request, err := daemon.Receive(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(daemon.Peer(), "asks", string(request))
	if err := daemon.Send(ctx, []byte(`{"result": 0}`)); err != nil {
		log.Fatal(err)
	}
	_ = daemon.Close() // now the reply goes out

	reply, err := client.Receive(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("and receives", string(reply))
	// Output:
	// user:ann asks {"command": "version-get"}
	// and receives {"result": 0}
}
