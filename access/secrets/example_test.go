package secrets_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"
)

func Example() {
	dir, err := os.MkdirTemp("", "secrets")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// The commands steer user and steer token change the files in this way.
	users, err := secrets.OpenUsers(filepath.Join(dir, "users"))
	if err != nil {
		panic(err)
	}
	tokens, err := secrets.OpenTokens(filepath.Join(dir, "tokens"))
	if err != nil {
		panic(err)
	}
	if err := users.Add("ann", "operator", "correct horse battery staple"); err != nil {
		panic(err)
	}
	secret, err := tokens.Mint("ci", "monitor", time.Now().Add(30*24*time.Hour))
	if err != nil {
		panic(err)
	}

	// The transports of a daemon verify claims in this way.
	authenticator := &secrets.Authenticator{Users: users, Tokens: tokens}
	for _, claim := range []transport.Claim{
		{User: "ann", Password: "correct horse battery staple"},
		{User: "ann", Password: "password"},
		{Token: secret},
	} {
		creds, err := authenticator.Authenticate(context.Background(), claim)
		if err != nil {
			fmt.Println(claim, "-", err)
			continue
		}
		fmt.Println(claim, "-", creds[0].Subject())
	}
	// Output:
	// the user "ann" - user:ann
	// the user "ann" - unknown or wrong credentials
	// a token - token:ci
}
