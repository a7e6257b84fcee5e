//go:build unix

package mgr_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkFlood measures the latency of functions that are posted to the loop, one each millisecond: without load, and while
// eight conns send commands that are refused, as fast as they can.
//
//	go test -run - -bench Flood -benchtime 1x ./mgr
func BenchmarkFlood(b *testing.B) {
	counted := &countingLoop{Loop: loop.New()}
	path := filepath.Join(b.TempDir(), "control.sock")
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Loop: counted, Authorizer: refuseAll{}})
	require.NoError(b, m.Register(mgr.Func("refused", "Return nothing.", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil })))
	go func() { _ = counted.Run(context.Background()) }()
	b.Cleanup(counted.Close)
	_, err := m.Open(b.Context(), &unix.Transport{Path: path})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	conns := make([]net.Conn, 8)
	for i := range conns {
		conns[i], err = net.Dial("unix", path)
		require.NoError(b, err)
		b.Cleanup(func() { _ = conns[i].Close() })
	}
	const depth = 16
	batch := strings.Repeat(`{"command":"refused","id":1}`+"\n", depth)
	for range b.N {
		quiet := counted.latency()
		var refused atomic.Int64
		var stop atomic.Bool
		var clients sync.WaitGroup
		began := time.Now()
		for _, c := range conns {
			clients.Go(func() {
				lines := bufio.NewReaderSize(c, 32<<10)
				for !stop.Load() {
					_, err := fmt.Fprint(c, batch)
					for i := 0; i < depth && err == nil; i++ {
						_, err = lines.ReadSlice('\n')
					}
					if err != nil {
						panic(err)
					}
					refused.Add(depth)
				}
			})
		}
		before := counted.posted.Load()
		flooded := counted.latency()
		stop.Store(true)
		clients.Wait()
		took := time.Since(began)
		b.ReportMetric(float64(quiet.Microseconds()), "quiet-p99-µs")
		b.ReportMetric(float64(flooded.Microseconds()), "flood-p99-µs")
		b.ReportMetric(float64(refused.Load())/took.Seconds(), "refusals/s")
		b.ReportMetric(float64(counted.posted.Load()-before), "posted")
	}
}

// A countingLoop counts the functions that the manager posts.
type countingLoop struct {
	*loop.Loop
	posted atomic.Int64
}

// Post implements mgr.Loop.
func (l *countingLoop) Post(f func()) error {
	l.posted.Add(1)
	return l.Loop.Post(f)
}

// latency posts 200 functions, one each millisecond, and returns the 99th percentile of their waiting times.
func (l *countingLoop) latency() time.Duration {
	const n = 200
	waits := make([]time.Duration, n)
	for i := range waits {
		posted, done := time.Now(), make(chan struct{})
		_ = l.Loop.Post(func() {
			waits[i] = time.Since(posted)
			close(done)
		})
		<-done
		time.Sleep(time.Millisecond)
	}
	slices.Sort(waits)
	return waits[n*99/100]
}

// refuseAll refuses every call.
type refuseAll struct{}

func (refuseAll) Authorize(*mgr.Call) error { return wire.Errorf(wire.CodeForbidden, "", "no") }
