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

// events returns the events of the records of a log, with their commands.
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

// On a full disk no command that changes something runs. Buffered entries are written when the disk has room again.
func TestRefuseOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		d := &disk{room: -1}
		var logged bytes.Buffer
		log, err := audit.OpenWith(audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&logged, nil))}, d.open)
		require.NoError(t, err)
		defer log.Close()
		require.NoError(t, log.Err())

		d.set(100, nil) // not even one line
		call := newCall(commands[1], "")
		err = log.Begin([]*mgr.Call{call})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorContains(t, err, "commands that change something are refused, since the audit cannot be written: no space left on device; check the file "+path)
		require.ErrorIs(t, log.Err(), syscall.ENOSPC)
		log.End([]mgr.CallResult{{Call: call, Code: wire.CodeShuttingDown}})
		log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}, {Call: newCall(commands[1], ""), Code: wire.CodeForbidden}})
		require.Equal(t, 1, strings.Count(logged.String(), "level=ERROR msg=\"the audit cannot be written\""))

		d.set(-1, nil)
		call = newCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{call}))
		require.NoError(t, log.Err())
		require.Contains(t, logged.String(), "the audit is written again")
		require.Equal(t, "opened intent outcome outcome denied intent", events(t, path))
		verify(t, path)
	})
}

// With Continue commands run on a full disk, and a gap entry has the number of lost entries.
func TestContinueOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		d := &disk{room: 1000}
		log, err := audit.OpenWith(audit.Options{Path: path, OnFailure: audit.Continue, Logger: slog.New(slog.DiscardHandler)}, d.open)
		require.NoError(t, err)
		defer log.Close()
		const pairs = 4000 // more than is held
		for range pairs {
			call := newCall(commands[1], "")
			require.NoError(t, log.Begin([]*mgr.Call{call}))
			log.End([]mgr.CallResult{{Call: call}})
		}
		d.set(-1, nil)
		log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}})
		s := verify(t, path)
		require.Positive(t, s.Lost)
		require.Equal(t, 2*pairs+1+1+1, s.Records+int(s.Lost), "all calls, opened, gap, and the last")
		require.NoError(t, log.Close())
		require.True(t, strings.HasSuffix(events(t, path), " outcome gap outcome closed"))
	})
}

// With random failures of writes the chain stays valid, and no record is written twice.
func TestChainIsValidAfterRandomFailures(t *testing.T) {
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
				call := newCall(commands[1], "")
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

// A failed sync is reported, and an entry mentions it later: the kernel may have discarded the bytes.
func TestFailedSyncIsReportedAndRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := &disk{room: -1}
	log, err := audit.OpenWith(audit.Options{Path: path, Logger: slog.New(slog.DiscardHandler)}, d.open)
	require.NoError(t, err)
	defer log.Close()
	d.set(-1, syscall.EIO)
	require.ErrorIs(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}), syscall.EIO)
	log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}}) // not synced, since it is a read
	require.ErrorIs(t, log.Err(), syscall.EIO)
	d.set(-1, nil)
	require.NoError(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}))
	require.NoError(t, log.Err())
	require.NoError(t, log.Close())
	require.Equal(t, "opened intent outcome intent gap closed", events(t, path))
	require.Equal(t, "some records before this may be lost in a power failure: input/output error", entries(t, path)[4].Text)
	verify(t, path)
}

func TestSyncOptionSelectsWhatIsSynced(t *testing.T) {
	for sync, want := range map[audit.Sync]int{audit.SyncNone: 0, audit.SyncWrites: 2, audit.SyncAll: 4} {
		d := &disk{room: -1}
		log, err := audit.OpenWith(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Sync: sync}, d.open)
		require.NoError(t, err)
		d.syncs = 0
		log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}})
		log.End([]mgr.CallResult{{Call: newCall(commands[1], ""), Code: wire.CodeForbidden}})
		call := newCall(commands[1], "")
		require.NoError(t, log.Begin([]*mgr.Call{call}))
		log.End([]mgr.CallResult{{Call: call}})
		require.Equal(t, want, d.syncs)
		require.NoError(t, log.Close())
	}
}
