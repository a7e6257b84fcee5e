package std_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/wire"
)

// A daemon registers the shared commands beside its own, and ends with the exit status that shutdown has set.
func Example() {
	stats := std.NewStatistics()
	m := mgr.New(&mgr.Options{Observer: stats.Observer(), Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	started, status := time.Now(), 0
	err := m.Register(slices.Concat(
		[]mgr.Command{
			std.Version("1.2.3", ""),
			std.StatusGet(func() std.Status { return std.StatusOf(started, started) }),
			std.Shutdown(func(exitValue int) {
				status = exitValue
				stop()
			}),
		},
		stats.Commands(),
	)...)
	if err != nil {
		panic(err)
	}
	go func() { // the requests of a client
		reply, _ := m.Process(context.Background(), wire.Request{Command: "version-get"})
		fmt.Println(reply.Text)
		_, _ = m.Process(context.Background(), wire.Request{Command: "shutdown", Arguments: wire.Value(`{"exit-value":3}`)})
	}()
	fmt.Println(m.Run(ctx), status)
	// Output:
	// 1.2.3
	// <nil> 3
}
