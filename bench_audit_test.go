package rudderpost_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkAudit measures what the record takes: the rate of commands over a UNIX socket with it, next
// to the rate without, in turns within one run (x-unrecorded: 1 means that it costs nothing). The file is
// where temporary files are; with sync the disk under it is what is measured.
//
//	go test -run - -bench Audit -benchtime 1s .
func BenchmarkAudit(b *testing.B) {
	for _, test := range []struct {
		name  string
		level mgr.Level
		sync  audit.Sync
	}{
		{"reads", mgr.Read, audit.SyncWrites}, {"writes/unsynced", mgr.Write, audit.SyncNone}, {"writes/synced", mgr.Write, audit.SyncWrites},
	} {
		for _, conns := range []int{1, 16, 256} {
			for _, depth := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/conns=%d/depth=%d", test.name, conns, depth), func(b *testing.B) {
					if conns == 1 {
						defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
					}
					log, err := audit.Open(audit.Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Sync: test.sync, Logger: quiet})
					require.NoError(b, err)
					b.Cleanup(func() { require.NoError(b, log.Close()) })
					command := benchCommand("untyped")
					command.Level = test.level
					with := startWith(b, &mgr.Options{Recorder: log}, command, conns)
					without := startWith(b, nil, command, conns)
					compare(b, conns*depth,
						func(n int) time.Duration { return drive(with, depth, n) },
						floor{"x-unrecorded", func(n int) time.Duration { return drive(without, depth, n) }})
				})
			}
		}
	}
}

// startWith starts rudderpost with options and one command.
func startWith(b *testing.B, o *mgr.Options, command mgr.Command, conns int) []*benchConn {
	var opts mgr.Options
	if o != nil {
		opts = *o
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	path := filepath.Join(b.TempDir(), "control.sock")
	m := mgr.New(&opts)
	require.NoError(b, m.Register(command))
	serveFor(b, m, &unix.Transport{Path: path})
	return dialBench(b, path, conns)
}

// BenchmarkFlood measures what the loop notices of clients that ask for what they may not: how long a
// function waits that is posted to it every millisecond, quiet and while eight conns are refused as fast as
// they can ask.
//
//	go test -run - -bench Flood -benchtime 1x .
func BenchmarkFlood(b *testing.B) {
	watched := &watchedLoop{Loop: loop.New()}
	path := filepath.Join(b.TempDir(), "control.sock")
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Loop: watched, Authorizer: nobody{}})
	require.NoError(b, m.Register(benchCommand("untyped")))
	go func() { _ = watched.Run(context.Background()) }()
	b.Cleanup(watched.Close)
	serveFor(b, m, &unix.Transport{Path: path})
	conns := dialBench(b, path, 8)
	for range b.N {
		quietly := watched.latency()
		var refused atomic.Int64
		var stop atomic.Bool
		flooded := make(chan time.Duration, 1)
		go func() {
			flooded <- together(conns, func(c *benchConn) {
				for !stop.Load() {
					c.drive(16, 1)
					refused.Add(16)
				}
			})
		}()
		before := watched.posted.Load()
		busy := watched.latency()
		stop.Store(true)
		took := <-flooded
		b.ReportMetric(float64(quietly.Microseconds()), "quiet-p99-µs")
		b.ReportMetric(float64(busy.Microseconds()), "flood-p99-µs")
		b.ReportMetric(float64(refused.Load())/took.Seconds(), "refusals/s")
		b.ReportMetric(float64(watched.posted.Load()-before), "posted")
	}
}

// A watchedLoop counts what is posted by others.
type watchedLoop struct {
	*loop.Loop
	posted atomic.Int64
}

func (w *watchedLoop) Post(f func()) error {
	w.posted.Add(1)
	return w.Loop.Post(f)
}

// latency returns how long the slowest hundredth of functions waits for its turn, at least.
func (w *watchedLoop) latency() time.Duration {
	const n = 200
	waits := make([]time.Duration, n)
	for i := range waits {
		posted, done := time.Now(), make(chan struct{})
		_ = w.Loop.Post(func() {
			waits[i] = time.Since(posted)
			close(done)
		})
		<-done
		time.Sleep(time.Millisecond)
	}
	slices.Sort(waits)
	return waits[n*99/100]
}

// nobody may do anything.
type nobody struct{}

func (nobody) Authorize(*mgr.Call) error { return wire.Errorf(wire.CodeForbidden, "", "no") }
