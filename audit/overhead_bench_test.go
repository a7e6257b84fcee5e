package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkAudit measures the rate of commands over a UNIX socket with an audit, and without one in turns with it. It
// reports the ratio of the rates as x-unrecorded: 1 means that the audit costs no time. The audit is in the directory for
// temporary files. With sync the benchmark measures mostly the disk.
//
//	go test -run - -bench Audit -benchtime 1s ./audit
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
					log, err := audit.Open(audit.Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Sync: test.sync, Logger: slog.New(slog.DiscardHandler)})
					require.NoError(b, err)
					b.Cleanup(func() { require.NoError(b, log.Close()) })
					command := echoCommand(b, test.level)
					with := startWith(b, &mgr.Options{Recorder: log}, command, conns)
					without := startWith(b, nil, command, conns)
					compareRates(b, conns*depth,
						func(n int) time.Duration { return drive(with, depth, n) },
						func(n int) time.Duration { return drive(without, depth, n) })
				})
			}
		}
	}
}

// echoCommand returns a command whose result was encoded before.
func echoCommand(b *testing.B, level mgr.Level) mgr.Command {
	answer, err := wire.ParseRaw([]byte(`{"value":"abcdefg"}`))
	require.NoError(b, err)
	return mgr.Command{Name: "bench-echo", Summary: "Echo.", Level: level,
		Handler: func(context.Context, *mgr.Call) (wire.Reply, error) { return wire.Reply{Arguments: answer}, nil }}
}

// A benchConn is a client that writes prepared requests and reads lines.
type benchConn struct {
	net.Conn
	lines *bufio.Reader
}

// startWith starts a manager with one command, and returns clients of it.
func startWith(b *testing.B, o *mgr.Options, command mgr.Command, n int) []*benchConn {
	var opts mgr.Options
	if o != nil {
		opts = *o
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	m := mgr.New(&opts)
	require.NoError(b, m.Register(command))
	path := filepath.Join(b.TempDir(), "control.sock")
	_, err := m.Open(b.Context(), &unix.Transport{Path: path})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-done
	})
	conns := make([]*benchConn, n)
	for i := range conns {
		c, err := net.Dial("unix", path)
		require.NoError(b, err)
		b.Cleanup(func() { _ = c.Close() })
		conns[i] = &benchConn{c, bufio.NewReaderSize(c, 32<<10)}
	}
	return conns
}

// drive makes n round trips of depth commands each on every conn at the same time, and returns how long that takes.
func drive(conns []*benchConn, depth, n int) time.Duration {
	var clients sync.WaitGroup
	began := time.Now()
	for _, c := range conns {
		clients.Go(func() { c.drive(depth, n) })
	}
	clients.Wait()
	return time.Since(began)
}

func (c *benchConn) drive(depth, n int) {
	var batch []byte
	for i := range depth {
		batch = fmt.Appendf(batch, `{"command":"bench-echo","arguments":{"value":"abcdef"},"id":%2d}`+"\n", i+10)
	}
	for range n {
		if _, err := c.Write(batch); err != nil {
			panic(err)
		}
		for range depth {
			if _, err := c.lines.ReadSlice('\n'); err != nil {
				panic(err)
			}
		}
	}
}

// compareRates measures b.N round trips with and without the audit in turns, and reports the median ratio of the rates as
// x-unrecorded. with and without make n times width round trips and return how long these take.
func compareRates(b *testing.B, width int, with, without func(n int) time.Duration) {
	const turns = 9 // an odd number, since the median counts
	with(10)
	without(10)
	n := max(1, b.N/turns/width)
	var ratios []float64
	var total time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for range turns {
		b.StopTimer()
		unrecorded := without(n)
		b.StartTimer()
		recorded := with(n)
		total += recorded
		ratios = append(ratios, unrecorded.Seconds()/recorded.Seconds())
	}
	b.StopTimer()
	slices.Sort(ratios)
	b.ReportMetric(float64(total.Nanoseconds())/float64(turns*n*width), "ns/op")
	b.ReportMetric(ratios[turns/2], "x-unrecorded")
}
