package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// BenchmarkRecord compares the cost of a record with a plain write of the same bytes. "parallel 16" is the number of
// callers of one conn.
func BenchmarkRecord(b *testing.B) {
	for _, bench := range []struct {
		name string
		cmd  *mgr.Command
		sync audit.Sync
	}{
		{"read", commands[0], audit.SyncNone},
		{"write/nosync", commands[1], audit.SyncNone},
		{"write/sync", commands[1], audit.SyncWrites},
	} {
		record := func(b *testing.B, log *audit.Log, next func() bool) {
			call := newCall(bench.cmd, `{"n":1}`)
			for next() {
				call.Record = 0
				if bench.cmd.Level != mgr.Read {
					require.NoError(b, log.Begin([]*mgr.Call{call}))
				}
				log.End([]mgr.CallResult{{Call: call}})
			}
		}
		start := func(b *testing.B) *audit.Log {
			log, err := audit.Open(audit.Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Sync: bench.sync})
			require.NoError(b, err)
			b.Cleanup(func() { _ = log.Close() })
			b.ReportAllocs()
			return log
		}
		b.Run(bench.name+"/1", func(b *testing.B) {
			log := start(b)
			record(b, log, b.Loop)
		})
		b.Run(bench.name+"/16", func(b *testing.B) {
			log := start(b)
			b.SetParallelism(8) // for each of two processors
			b.RunParallel(func(pb *testing.PB) { record(b, log, pb.Next) })
		})
	}
	b.Run("read/together", func(b *testing.B) { // as they come from a client that does not wait for each reply
		log, err := audit.Open(audit.Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Sync: audit.SyncNone})
		require.NoError(b, err)
		defer log.Close()
		ends := make([]mgr.CallResult, 16)
		for i := range ends {
			ends[i].Call = newCall(commands[0], "")
		}
		for b.Loop() {
			log.End(ends)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ends)), "ns/record")
	})
	line := []byte(strings.Repeat("x", 380) + "\n")
	for _, sync := range []bool{false, true} {
		name := map[bool]string{false: "floor/write", true: "floor/write and sync"}[sync]
		b.Run(name, func(b *testing.B) {
			f, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			require.NoError(b, err)
			defer f.Close()
			for b.Loop() {
				_, err := f.Write(line)
				require.NoError(b, err)
				if sync {
					require.NoError(b, f.Sync())
				}
			}
		})
	}
}
