package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// events returns what the records of a log are about, in short.
func events(t *testing.T, path string) string {
	t.Helper()
	var all []string
	for _, e := range entries(t, path) {
		all = append(all, string(e.Event))
	}
	return strings.Join(all, " ")
}

func verify(t *testing.T, paths ...string) record.Summary {
	t.Helper()
	s, err := record.VerifyFiles(paths...)
	require.NoError(t, err)
	require.True(t, s.Compared)
	return s
}

// On a full disk nothing is changed that could not be recorded, and what waited is recorded when there
// is room again.
func TestRefuseOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		d := &disk{room: -1}
		var said bytes.Buffer
		log, err := audit.OpenWith(audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&said, nil))}, d.open)
		require.NoError(t, err)
		defer log.Close()
		require.NoError(t, log.Err())

		d.set(100, nil) // not even one line
		call := aCall(commands[1], "")
		err = log.Begin([]*mgr.Call{call})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorContains(t, err, "what changes something is refused, since it cannot be recorded: no space left on device; see to the audit's file, "+path)
		require.ErrorIs(t, log.Err(), syscall.ENOSPC)
		log.End([]mgr.CallResult{{Call: call, Code: wire.CodeShuttingDown}})
		log.End([]mgr.CallResult{{Call: aCall(commands[0], "")}, {Call: aCall(commands[1], ""), Code: wire.CodeForbidden}})
		require.Equal(t, 1, strings.Count(said.String(), "level=ERROR msg=\"the audit cannot be written\""))

		d.set(-1, nil)
		call = aCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{call}))
		require.NoError(t, log.Err())
		require.Contains(t, said.String(), "the audit is written again")
		require.Equal(t, "opened intent outcome outcome denied intent", events(t, path))
		verify(t, path)
	})
}

// Continue goes on, and says afterwards how much is missing.
func TestContinueOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		d := &disk{room: 1000}
		log, err := audit.OpenWith(audit.Options{Path: path, OnFailure: audit.Continue, Logger: slog.New(slog.DiscardHandler)}, d.open)
		require.NoError(t, err)
		defer log.Close()
		const pairs = 4000 // more than is held
		for range pairs {
			call := aCall(commands[1], "")
			require.NoError(t, log.Begin([]*mgr.Call{call}))
			log.End([]mgr.CallResult{{Call: call}})
		}
		d.set(-1, nil)
		log.End([]mgr.CallResult{{Call: aCall(commands[0], "")}})
		s := verify(t, path)
		require.Positive(t, s.Lost)
		require.Equal(t, 2*pairs+1+1+1, s.Records+int(s.Lost), "all calls, opened, gap, and the last")
		require.NoError(t, log.Close())
		require.True(t, strings.HasSuffix(events(t, path), " outcome gap outcome closed"))
	})
}

// Whatever writes come through, and however far, the chain fits and no record comes twice.
func TestRandomFailures(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			path := filepath.Join(dir, "audit.jsonl")
			files := []string{}
			d := &disk{room: -1}
			start := func() *audit.Log {
				log, err := audit.OpenWith(audit.Options{Path: path, Sync: audit.Sync(random.IntN(3)), OnFailure: audit.Continue, Logger: slog.New(slog.DiscardHandler)}, d.open)
				require.NoError(t, err)
				return log
			}
			log := start()
			for n := range 300 {
				switch random.IntN(12) {
				case 0, 1:
					d.set(random.IntN(900), nil)
				case 2:
					d.set(random.IntN(900), syscall.EIO)
				case 3, 4:
					d.set(-1, nil)
				case 5:
					time.Sleep(time.Second)
				case 6:
					if info, err := os.Stat(path); err == nil && info.Size() > 0 {
						files = append(files, fmt.Sprintf("%s.%d", path, n))
						require.NoError(t, os.Rename(path, files[len(files)-1]))
					}
				case 7:
					if random.IntN(5) == 0 {
						d.set(-1, nil) // a log that ends on a full disk has lost what it could not write
						require.NoError(t, log.Close())
						log = start()
					}
				}
				call := aCall(commands[1], "")
				require.NoError(t, log.Begin([]*mgr.Call{call}))
				log.End([]mgr.CallResult{{Call: call}})
			}
			d.set(-1, nil)
			time.Sleep(time.Second)
			require.NoError(t, log.Reopen())
			require.NoError(t, log.Close())
			s, err := record.VerifyFiles(append(files, path)...)
			require.NoError(t, err, "seed %d", seed)
			intents := 0
			for _, file := range append(files, path) {
				f, err := os.Open(file)
				require.NoError(t, err)
				for e := range record.Read(f) {
					if e.Event == record.Intent {
						intents++
					}
				}
				require.NoError(t, f.Close())
			}
			require.Equal(t, 300, intents)
			require.Zero(t, s.Lost)
		})
	}
}

// A sync that failed is a failure, and is remembered: the kernel may not have what it said it had.
func TestUnsoundDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := &disk{room: -1}
	log, err := audit.OpenWith(audit.Options{Path: path, Logger: slog.New(slog.DiscardHandler)}, d.open)
	require.NoError(t, err)
	defer log.Close()
	d.set(-1, syscall.EIO)
	require.ErrorIs(t, log.Begin([]*mgr.Call{aCall(commands[1], "")}), syscall.EIO)
	log.End([]mgr.CallResult{{Call: aCall(commands[0], "")}}) // which nobody syncs
	require.ErrorIs(t, log.Err(), syscall.EIO)
	d.set(-1, nil)
	require.NoError(t, log.Begin([]*mgr.Call{aCall(commands[1], "")}))
	require.NoError(t, log.Err())
	require.NoError(t, log.Close())
	require.Equal(t, "opened intent outcome intent gap closed", events(t, path))
	require.Equal(t, "some records before this may not outlive a power cut: input/output error", entries(t, path)[4].Text)
	verify(t, path)
}

// What is synced is what Sync says.
func TestSyncs(t *testing.T) {
	for sync, want := range map[audit.Sync]int{audit.SyncNone: 0, audit.SyncWrites: 2, audit.SyncAll: 4} {
		d := &disk{room: -1}
		log, err := audit.OpenWith(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Sync: sync}, d.open)
		require.NoError(t, err)
		d.syncs = 0
		log.End([]mgr.CallResult{{Call: aCall(commands[0], "")}})
		log.End([]mgr.CallResult{{Call: aCall(commands[1], ""), Code: wire.CodeForbidden}})
		call := aCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{call}))
		log.End([]mgr.CallResult{{Call: call}})
		require.Equal(t, want, d.syncs)
		require.NoError(t, log.Close())
	}
}
