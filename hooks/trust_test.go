package hooks_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// The program, a file among its arguments, the folders above them and the links on the way must not be writable for
// other users.
func TestProgramThatOtherUsersCanChangeIsRefused(t *testing.T) {
	sh := hookProgram(t, "sh", "dash")
	d := start(t, nil)
	dir := t.TempDir()
	const program = "#!/bin/sh\nread hello\necho '{\"introduce\":{\"commands\":[]}}'\nread end\n"
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(program), 0o700))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	good, loose := write("good", 0o755), write("loose", 0o757)
	inside := write("open/inside", 0o755)
	require.NoError(t, os.Chmod(filepath.Dir(inside), 0o777))
	sticky := write("sticky/inside", 0o755)
	require.NoError(t, os.Chmod(filepath.Dir(sticky), 0o777|os.ModeSticky))
	link, linked := filepath.Join(dir, "link"), filepath.Join(filepath.Dir(inside), "link")
	require.NoError(t, os.Symlink(loose, link))
	require.NoError(t, os.Symlink(good, linked))
	for _, exec := range [][]string{{good}, {sh, good}, {good, "/dev/null", "/no/such/file", "loose"}, {sticky}} {
		require.NoError(t, d.load(hooks.Config{Name: "x", Exec: exec}), exec)
		require.NoError(t, d.load())
	}
	for _, exec := range [][]string{{loose}, {sh, loose}, {inside}, {link}, {linked}} {
		require.ErrorContains(t, d.load(hooks.Config{Name: "x", Exec: exec}), "can be written by any user", exec)
	}
	wrapper := filepath.Join(dir, "wrapper")
	for _, line := range []string{"#!" + loose, "#!/usr/bin/env -S loose"} {
		require.NoError(t, os.WriteFile(wrapper, []byte(line+"\n"), 0o700))
		err := d.load(hooks.Config{Name: "x", Exec: []string{wrapper}, Env: []string{"PATH=" + dir}})
		require.ErrorContains(t, err, loose+": it can be written by any user", "its interpreter")
	}
	if os.Geteuid() != 0 {
		return
	}
	require.NoError(t, os.Chown(good, 65534, 65534))
	require.ErrorContains(t, d.load(hooks.Config{Name: "x", Exec: []string{good}}), "belongs to the user 65534; only root is trusted; do: chown 0 "+good+", or trust that user with --trust-owner 65534")
}

func TestProgramOfTrustedOwnerIsRun(t *testing.T) {
	testkit.NeedRoot(t)
	d := start(t, nil)
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nread hello\necho '{\"introduce\":{\"commands\":[]}}'\nread end\n"), 0o700))
	require.NoError(t, os.Chown(path, 1000, 1000))
	require.Error(t, d.load(hooks.Config{Name: "x", Exec: []string{path}}))
	require.NoError(t, d.load(hooks.Config{Name: "x", Exec: []string{path}, TrustOwners: []uint32{1000}}))
}
