package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// config-backups is the number of backups.
func TestConfigWriteKeepsConfiguredNumberOfBackups(t *testing.T) {
	for keep, config := range map[int]string{10: "", 2: "config-backups = 2\n"} {
		dir := testkit.ShortDir(t)
		p := startIn(t, dir, config+oneSocket)
		text, err := os.ReadFile(filepath.Join(dir, "config.toml"))
		require.NoError(t, err)
		for n := range 13 {
			require.Equal(t, wire.CodeSuccess, p.command("config-write", "").Code)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), append(text, fmt.Sprintf("# %d\n", n)...), 0o600))
		}
		want := []string{"config.toml"}
		for n := 13; n > 13-keep; n-- {
			want = append(want, fmt.Sprintf("config.toml.%d", n))
		}
		slices.Sort(want)
		require.Equal(t, want, configFiles(t, dir))
		last, err := os.ReadFile(filepath.Join(dir, "config.toml.13"))
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(string(last), "# 11\n"), "the highest number is the last backup")
		p.stop()
	}
}

// The daemon removes temporary files of its own and of steer, beside each file that it knows.
func TestStartRemovesTemporaryFilesOfKilledProcesses(t *testing.T) {
	dir := testkit.ShortDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "run", "pki"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), nil, 0o600))
	leftovers := []string{".config.toml.tmp-17", ".users.tmp-1", "run/.config.key.tmp-2", "run/pki/.ca.pem.tmp-3"}
	for _, name := range leftovers {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	other := filepath.Join(dir, ".other.tmp-5") // beside the configuration, but of another file
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	p := startIn(t, dir, "state-dir = \"run\"\n[auth]\nusers-file = \"users\"\n"+oneSocket)
	for _, name := range leftovers {
		require.NoFileExists(t, filepath.Join(dir, name))
	}
	require.FileExists(t, other)
	p.stop()

	// A daemon that is killed while it replaces its configuration leaves a temporary file.
	p = startIn(t, dir, "state-dir = \"run\"\n"+oneSocket)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "fail"), []byte("rename=kill"), 0o600))
	_, err := client.Do(t.Context(), &unix.Transport{Path: p.listening()}, wire.Request{Command: "config-write"})
	require.Error(t, err)
	p.wait()
	require.NoError(t, os.Remove(filepath.Join(dir, "fail")))
	left, err := filepath.Glob(filepath.Join(dir, ".config.toml.tmp-*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	startIn(t, dir, "state-dir = \"run\"\n"+oneSocket).stop()
	require.NoFileExists(t, left[0])
}
