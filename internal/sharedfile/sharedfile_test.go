package sharedfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rudderpost/rudderpost/internal/sharedfile"
	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/stretchr/testify/require"
)

// A reader finds one complete text of a file while others replace it. No change under the lock is lost, and no
// temporary file is left.
func TestConcurrentChangesOfOneFileAreAllKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	const line = "a line that is as long as all others\n"
	_, err := sharedfile.Replace(path, []byte(line), 0o600)
	require.NoError(t, err)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() {
		for {
			text, err := os.ReadFile(path)
			if err != nil || len(text)%len(line) != 0 {
				t.Errorf("%d bytes, %v", len(text), err)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 8 {
		writers.Go(func() {
			for range 5 {
				unlock, err := sharedfile.Lock(path+".lock", trustedpath.Rules{})
				if err != nil {
					t.Error(err)
					return
				}
				text, err := os.ReadFile(path)
				if err == nil {
					_, err = sharedfile.Replace(path, append(text, line...), 0o600)
				}
				if err != nil {
					t.Error(err)
				}
				unlock()
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 41, bytes.Count(text, []byte(line)))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestReplaceReturnsInfoOfNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, mode := range []os.FileMode{0o640, 0o644} { // of an existing file, its own mode counts
		info, err := sharedfile.Replace(path, []byte("x"), mode)
		require.NoError(t, err)
		there, err := os.Lstat(path)
		require.NoError(t, err)
		require.True(t, os.SameFile(info, there))
		require.Equal(t, os.FileMode(0o640), there.Mode().Perm())
	}
	_, err := sharedfile.Replace(filepath.Join(t.TempDir(), "nowhere", "file"), nil, 0o600)
	require.ErrorIs(t, err, os.ErrNotExist)
}
