package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// runAsUser1000 runs steer as the user 1000.
func runAsUser1000(t *testing.T, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), beSteer+"=1")
	testkit.RunAs(t, cmd, 1000)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Root edits files of a daemon that runs as the user 1000, and that user can still use them.
func TestRootKeepsDaemonUserAsFileOwner(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	require.NoError(t, os.Chown(dir, 1000, 1000))
	folder := filepath.Join(dir, "pki")
	ok := func(args ...string) {
		t.Helper()
		out, err := runAsUser1000(t, args...)
		require.NoError(t, err, out)
	}
	ok("pki", "init", folder)
	ok("pki", "issue", folder, "ann", "--client")
	for _, args := range [][]string{
		{"issue", folder, "ann", "--client"}, {"issue", folder, "ben", "--client"},
		{"issue", folder, "daemon", "--server", "--host", "localhost"}, {"revoke", folder, "ben"},
	} {
		_, err := runPKI(args...)
		require.NoError(t, err, args)
	}
	for _, name := range []string{"issued.jsonl", "crl.pem", "ann.key", "ann.pem", "ben.key", "daemon.key", "lock"} {
		require.Contains(t, testkit.OwnerAndMode(t, filepath.Join(folder, name)), "1000:1000 ", name)
	}
	ok("pki", "issue", folder, "cid", "--client")
	ok("pki", "list", folder)

	_, err := runPKI("init", filepath.Join(dir, "second", "pki"))
	require.NoError(t, err)
	ok("pki", "issue", filepath.Join(dir, "second", "pki"), "ann", "--client")

	users, tokens := filepath.Join(dir, "users"), filepath.Join(dir, "tokens")
	require.Zero(t, steer(t, "correct horse\n", "user", "add", users, "ann", "--role", "admin").status)
	require.Zero(t, steer(t, "", "token", "mint", tokens, "ci", "--role", "monitor", "--to", filepath.Join(dir, "ci.token")).status)
	for _, path := range []string{users, users + ".lock", tokens, tokens + ".lock", filepath.Join(dir, "ci.token")} {
		require.Equal(t, "1000:1000 0600", testkit.OwnerAndMode(t, path), path)
	}
	ok("token", "mint", tokens, "again", "--role", "monitor")
	ok("user", "list", users)
}

// A file that a group reads keeps its group and its mode.
func TestRootKeepsFileGroup(t *testing.T) {
	testkit.NeedRoot(t)
	dir := testkit.ShortDir(t)
	users := filepath.Join(dir, "users")
	require.NoError(t, os.WriteFile(users, nil, 0o600))
	require.NoError(t, os.Chown(users, 0, 1000))
	require.NoError(t, os.Chmod(users, 0o640))
	done := steer(t, "correct horse\n", "user", "add", users, "ann", "--role", "admin")
	require.Zero(t, done.status, done.stderr)
	require.Equal(t, "0:1000 0640", testkit.OwnerAndMode(t, users))
	out, err := runAsUser1000(t, "user", "list", users)
	require.NoError(t, err, out)
	require.Equal(t, "ann  admin\n", out)
	out, err = runAsUser1000(t, "user", "remove", users, "ann")
	require.Error(t, err)
	require.Contains(t, out, "permission denied")
}

func TestSymlinkedFilesAreNotReplaced(t *testing.T) {
	dir := testkit.ShortDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..data"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..data", "users"), nil, 0o400))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..data", "tokens"), nil, 0o400))
	for _, name := range []string{"users", "tokens"} {
		require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, name)))
	}
	const want = ": it is a symbolic link, so it is a read-only source: change it where it comes from, such as the Kubernetes Secret"
	done := steer(t, "correct horse\n", "user", "add", filepath.Join(dir, "users"), "ann", "--role", "admin")
	require.Contains(t, done.stderr, filepath.Join(dir, "users")+want)
	require.NotZero(t, done.status)
	done = steer(t, "", "token", "mint", filepath.Join(dir, "tokens"), "ci", "--role", "monitor", "--to", filepath.Join(dir, "ci"))
	require.Contains(t, done.stderr, filepath.Join(dir, "tokens")+want)
	require.NoFileExists(t, filepath.Join(dir, "ci"))
	require.Zero(t, steer(t, "", "user", "list", filepath.Join(dir, "users")).status)
}

func TestTrustOwnerFlag(t *testing.T) {
	testkit.NeedRoot(t)
	above := testkit.ShortDir(t)
	dir := filepath.Join(above, "pki")
	require.NoError(t, os.Chown(above, 1001, -1))
	_, err := runPKI("init", filepath.Join(dir, "a"), "--trust-owner", "x")
	require.ErrorContains(t, err, "it is not a numeric user id")
	require.NoError(t, os.Mkdir(dir, 0o700))
	_, err = runPKI("init", filepath.Join(dir, "a"))
	require.ErrorContains(t, err, "the folder "+above+" belongs to the user 1001; only root is trusted")
	_, err = runPKI("init", filepath.Join(dir, "a"), "--trust-owner", "1001")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(testkit.OwnerAndMode(t, filepath.Join(dir, "a")), "0:"))
}
