package mgr_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkCritical measures one command with Process: a command that is not critical, with a section in the options and
// without; and a critical command with no participant, with an idle pool of four workers, and with one that runs short tasks.
//
//	go test -run - -bench Critical ./mgr
func BenchmarkCritical(b *testing.B) {
	plain, critical := "plain", "critical"
	for _, bench := range []struct {
		name, command string
		section, pool bool
		busy          bool
	}{
		{"plain/no section", plain, false, false, false},
		{"plain/pool of four", plain, true, true, false},
		{"critical/no participant", critical, true, false, false},
		{"critical/idle pool of four", critical, true, true, false},
		{"critical/busy pool of four", critical, true, true, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			opts := mgr.Options{Logger: slog.New(slog.DiscardHandler)}
			var load sync.WaitGroup
			if bench.section {
				opts.Critical = new(loop.CriticalSection)
			}
			if bench.pool {
				pool := loop.NewPool(4, 64)
				require.NoError(b, opts.Critical.Add("pool", pool))
				if bench.busy {
					load.Go(func() {
						for !errors.Is(pool.Submit(func() {}), loop.ErrClosed) {
						}
					})
				}
				defer load.Wait()
				defer pool.Close()
			}
			m := mgr.New(&opts)
			answer := func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }
			require.NoError(b, m.Register(mgr.Func(plain, "", mgr.Write, answer), mgr.Func(critical, "", mgr.Write, answer, mgr.Critical())))
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- m.Run(ctx) }()
			b.ReportAllocs()
			for b.Loop() {
				reply, err := m.Process(context.Background(), wire.Request{Command: bench.command})
				if err != nil || reply.Code != 0 {
					b.Fatal(reply, err)
				}
			}
			stop()
			require.NoError(b, <-ended)
		})
	}
}
