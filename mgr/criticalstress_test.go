package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// Four workers read memory without a lock, while 3600 critical commands change it, on the loop and off the loop, among
// commands that only read. No worker may see an incomplete change. The race detector checks the accesses. Each kind of loop
// runs a third of the commands.
func TestWorkersSeeNoIncompleteChange(t *testing.T) {
	for _, how := range drivers() {
		t.Run(how.name, func(t *testing.T) {
			const clients, each = 4, 3600 / 2 / 4 / 3
			var section loop.CriticalSection
			pool := loop.NewPool(4, 64)
			require.NoError(t, section.Add("workers", pool))
			var config struct{ a, b, c, d int } // no lock guards it
			change := func() {
				config.a++
				config.b++
				config.c++
				config.d++
			}
			var torn, read atomic.Int64
			task := func() {
				seen := config
				if seen.a != seen.b || seen.b != seen.c || seen.c != seen.d {
					torn.Add(1)
				}
				read.Add(1)
			}
			d := prepare(t, &mgr.Options{Loop: how.loop, Critical: &section, Logger: slog.New(slog.DiscardHandler)},
				mgr.Func("set", "", mgr.Write, func(context.Context, mgr.None) (int, error) {
					change()
					return config.a, nil
				}, mgr.Critical()),
				mgr.Async("set-beside", "", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
					return mgr.None{}, mgr.OnLoop(ctx, func() error {
						change()
						return nil
					})
				}, mgr.Critical()),
				mgr.Func("get", "", mgr.Read, func(context.Context, mgr.None) (int, error) { return config.a, nil }),
			)
			drive(t, d, how)
			var load, all sync.WaitGroup
			for range 2 {
				load.Go(func() { // as many tasks as the pool takes
					for !errors.Is(pool.Submit(task), loop.ErrClosed) {
					}
				})
			}
			for range clients {
				all.Go(func() {
					c := d.dial()
					defer c.close()
					for i := range each {
						c.send(fmt.Sprintf(`{"command":"set","id":"a%d"}{"command":"get","id":"g%d"}{"command":"set-beside","id":"b%d"}`, i, i, i))
						for _, r := range c.receiveAll(3) {
							require.Zero(t, r.Result, r.Text)
						}
					}
				})
			}
			all.Wait()
			require.NoError(t, d.end())
			pool.Close()
			load.Wait()
			require.Zero(t, torn.Load())
			require.Positive(t, read.Load()) // the number depends on the scheduler
			require.Equal(t, 2*clients*each, config.a)
			require.Equal(t, config.a, config.d)
		})
	}
}
