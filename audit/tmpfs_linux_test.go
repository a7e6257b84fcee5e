package audit_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// smallDisk returns a directory on a disk of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		testkit.SkipOrFail(t, "a disk of 64 KiB cannot be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// A real disk is full, and then a file is removed.
func TestLogOnARealFullDisk(t *testing.T) {
	for _, policy := range []audit.Failure{audit.Refuse, audit.Continue} {
		dir := smallDisk(t)
		path, ballast := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "ballast")
		require.NoError(t, os.WriteFile(ballast, make([]byte, 40<<10), 0o600))
		log, err := audit.Open(audit.Options{Path: path, OnFailure: policy, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		did := 0
		for log.Err() == nil {
			call := newCall(commands[1], `{"n":1}`)
			if err = log.Begin([]*mgr.Call{call}); err == nil {
				log.End([]mgr.CallResult{{Call: call}})
				did++
			}
		}
		require.Greater(t, did, 5)
		require.ErrorIs(t, log.Err(), syscall.ENOSPC)
		if policy == audit.Refuse {
			require.ErrorIs(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}), syscall.ENOSPC)
		}
		require.NoError(t, os.Remove(ballast))
		require.NoError(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}))
		require.NoError(t, log.Err())
		require.NoError(t, log.Close())
		require.Zero(t, verify(t, path).Lost)
	}
}
