// Selectloop is a daemon with a select loop of its own. It counts ticks, and only its loop uses the count. The control channel
// is one more case of the select.
//
//	steer -s unix:selectloop.sock count-get
//	steer -s unix:selectloop.sock count-set count=100
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// counter is the state of the daemon. Only the main goroutine uses it, so it needs no lock.
type counter struct {
	Count int `json:"count" doc:"How many ticks were counted." schema:"min=0"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, "selectloop.sock"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, socket string) error {
	var state counter
	l := loop.New()
	m := mgr.New(&mgr.Options{Loop: l})
	err := m.Register(
		mgr.Func("count-get", "Return the count.", mgr.Read,
			func(context.Context, mgr.None) (counter, error) { return state, nil }),
		mgr.Func("count-set", "Change the count.", mgr.Write,
			func(_ context.Context, in counter) (counter, error) { state = in; return state, nil }),
	)
	if err != nil {
		return err
	}
	if _, err := m.Open(ctx, &unix.Transport{Path: socket}); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = m.Shutdown(context.Background()) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			state.Count++
		case <-l.Ready(): // the case for the control channel
			l.Poll()
		case <-m.Done(): // all accepted commands have their replies
			return nil
		}
	}
}
