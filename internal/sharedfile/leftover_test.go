//go:build unix && !aix

package sharedfile_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/sharedfile"

	"github.com/stretchr/testify/require"
)

// The test program replaces the file that this names, and kills itself at the step that killAt names.
const replaceFile, killAt = "SHAREDFILE_REPLACE", "SHAREDFILE_KILL"

func TestMain(m *testing.M) {
	if path := os.Getenv(replaceFile); path != "" {
		sharedfile.Step = func(step string) error {
			if step == os.Getenv(killAt) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		}
		_, err := sharedfile.Replace(path, []byte("new"), 0o600)
		if err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// The process is killed at each step of Replace.
func TestLeftoversOfKilledProcessesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	kill := func(step string) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), replaceFile+"="+path, killAt+"="+step)
		require.Error(t, cmd.Run())
	}
	for _, step := range []string{"write", "sync", "rename"} {
		kill(step)
		require.Len(t, names(t, dir), 2, step)
		require.NoError(t, sharedfile.RemoveLeftovers(path))
		require.Equal(t, []string{"file"}, names(t, dir), step)
	}
	kill("write")
	kill("write")
	require.Len(t, names(t, dir), 2, "the second one removed what the first one left")
	require.NoError(t, sharedfile.RemoveAllLeftovers(dir))
	require.Equal(t, []string{"file"}, names(t, dir))
	require.NoError(t, sharedfile.RemoveAllLeftovers(filepath.Join(dir, "nowhere")))
}

// A process that has not renamed its file yet keeps it.
func TestFilesThatAreInUseAreNotRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	t.Cleanup(func() { sharedfile.Step = func(string) error { return nil } })
	steps := 0
	sharedfile.Step = func(step string) error {
		steps++
		if step != "sync folder" {
			require.Len(t, names(t, dir), 1)
		}
		return sharedfile.RemoveAllLeftovers(dir)
	}
	_, err := sharedfile.Replace(path, []byte("x"), 0o600)
	require.NoError(t, err)
	require.Positive(t, steps)
	require.Equal(t, []string{"file"}, names(t, dir))
}

// A temporary file that is removed before it is locked is made again.
func TestWritersAndRemoversAtOnceLoseNothing(t *testing.T) {
	dir := t.TempDir()
	done := make(chan struct{})
	var removers, writers sync.WaitGroup
	for range 2 {
		removers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := sharedfile.RemoveAllLeftovers(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, name := range []string{"a", "b"} {
		writers.Go(func() {
			for range 50 {
				if _, err := sharedfile.Replace(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	removers.Wait()
	require.Equal(t, []string{"a", "b"}, names(t, dir))
}

// Files with similar names, links, folders and FIFOs stay.
func TestOtherFilesAreNotLeftovers(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{".file.tmp-", ".file.tmp-1x", "file.tmp-1", ".tmp-1", ".file.current", ".other.tmp-3"} {
		require.NoError(t, os.WriteFile(in(name), nil, 0o600))
	}
	require.NoError(t, os.Symlink(in(".file.tmp-"), in(".file.tmp-4")))
	require.NoError(t, os.Mkdir(in(".file.tmp-5"), 0o700))
	require.NoError(t, syscall.Mkfifo(in(".file.tmp-6"), 0o600))
	before := names(t, dir)
	require.NoError(t, sharedfile.RemoveLeftovers(in("file")))
	require.Equal(t, before, names(t, dir))
}
