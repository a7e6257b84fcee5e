package audit_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// FuzzOpen: with any bytes after the last record, Open either returns an error, or continues with a valid chain.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	options := audit.Options{Path: path, Sync: audit.SyncNone, Logger: slog.New(slog.DiscardHandler)}
	log, err := audit.Open(options)
	require.NoError(f, err)
	log.End([]mgr.CallResult{{Call: newCall(commands[0], `{"n":1}`)}})
	require.NoError(f, log.Close())
	text, err := os.ReadFile(path)
	require.NoError(f, err)
	head, err := os.ReadFile(record.HeadFile(path))
	require.NoError(f, err)

	f.Add([]byte(`{"seq":4,"ti`))
	f.Add([]byte("\n\n{\n"))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, rest []byte) {
		require.NoError(t, os.WriteFile(path, slices.Concat(text, rest), 0o600))
		require.NoError(t, os.WriteFile(record.HeadFile(path), head, 0o600))
		for range 2 {
			log, err := audit.Open(options)
			require.NoError(t, err)
			log.End([]mgr.CallResult{{Call: newCall(commands[0], `{"n":1}`)}})
			require.NoError(t, log.Close())
		}
		s, err := record.VerifyFiles(path)
		require.NoError(t, err)
		require.Equal(t, 9, s.Records)
	})
}
