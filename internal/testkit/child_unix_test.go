//go:build unix

package testkit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

func TestChildCollectsOutputAndExitStatus(t *testing.T) {
	p := testkit.Start(t, exec.Command("/bin/sh", "-c", "echo problem >&2; read line || exit 3"))
	stopped := testkit.Start(t, exec.Command("/bin/sh", "-c", "echo listening on tcp://127.0.0.1:7443; sleep 1000"))
	require.Equal(t, "127.0.0.1:7443", stopped.ListeningOn(t, "tcp"))
	require.Equal(t, 3, p.Wait(t)) // its standard input is empty, so read fails
	require.Equal(t, "problem\n", p.Err.String())
}

func TestProgramOfAnotherUserRunsWithoutRights(t *testing.T) {
	testkit.NeedRoot(t)
	cmd := exec.Command("/usr/bin/id", "-u")
	cmd.Dir = testkit.ShortDir(t)
	testkit.RunUnprivileged(t, cmd)
	p := testkit.Start(t, cmd)
	require.Zero(t, p.Wait(t))
	require.Equal(t, "65534\n", p.Out.String())
	require.Equal(t, "65534:65534 0755", testkit.OwnerAndMode(t, cmd.Dir))
	file := filepath.Join(cmd.Dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o640))
	testkit.ChownAll(t, cmd.Dir, 1000, 50)
	require.Equal(t, "1000:50 0640", testkit.OwnerAndMode(t, file))
}

func TestProgramIsBuiltOnce(t *testing.T) {
	path := testkit.Program(t, "greeter")
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, path, testkit.Program(t, "greeter"))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime())
	require.Equal(t, os.FileMode(0o755), before.Mode().Perm())
	require.NotEqual(t, testkit.RaceEnabled, path == testkit.ProgramWithoutRace(t, "greeter"))
}
