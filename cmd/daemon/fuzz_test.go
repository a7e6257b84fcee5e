package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzConfig checks that a file is either a valid configuration, or yields an error that names the file.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile("../../config.toml.example")
	require.NoError(f, err)
	f.Add(string(example))
	f.Add("[[listen]]\ntransport = \"unix\"\npath = \"x\"\nmode = \"0660\"\n")
	f.Add("Log-Level = \"info\"\n[limits]\nmax-frame = \"16PiB\"\n")
	f.Add("[limits]\nidle-timeout = \"-1s\"\nmax-rate = -1\n[[listen]]\n[[listen]]\npath = 7\n")
	f.Add("listen = [{transport = \"unix\", path = \"a\"}, {}]\n[limits.max-frame]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "config.toml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		config, err := load(file)
		if err != nil {
			require.Nil(t, config)
			require.Contains(t, err.Error(), file)
			return
		}
		require.NotEmpty(t, config.Listen)
		for _, l := range config.Listen {
			if l.Socket == "" && l.Transport == "unix" {
				require.True(t, filepath.IsAbs(l.path))
				require.NotZero(t, l.permissions)
			}
		}
		require.NoError(t, config.Limits.check())
	})
}
