// Greeter is a daemon with one command. Call it with
//
//	steer -s unix:greeter.sock greet name=Ann
package main

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
)

type person struct {
	Name string `json:"name" doc:"The name of the person to greet."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := mgr.New(nil)
	err := m.Register(mgr.Func("greet", "Return a greeting.", mgr.Read,
		func(_ context.Context, p person) (string, error) { return "Hello, " + p.Name + "!", nil }))
	if err == nil {
		err = m.Run(ctx, &unix.Transport{Path: "greeter.sock"})
	}
	if err != nil {
		log.Fatal(err)
	}
}
