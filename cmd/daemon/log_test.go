package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// After SIGHUP the log continues in a new file, without the loss of a line.
func TestLogFileIsReopenedAfterHangup(t *testing.T) {
	dir := testkit.ShortDir(t)
	path, rotated := filepath.Join(dir, "rudderpostd.log"), filepath.Join(dir, "rudderpostd.log.1")
	p := startIn(t, dir, "log-file = \"rudderpostd.log\"\n"+oneSocket)
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	testkit.Eventually(t, func() bool { return strings.Contains(read(path), "command=version-get") }, "the log is empty")
	require.NoError(t, os.Rename(path, rotated))
	require.Equal(t, wire.CodeSuccess, p.command("status-get", "").Code)
	testkit.Eventually(t, func() bool { return strings.Contains(read(rotated), "command=status-get") }, "what was renamed is not written to")
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool { return exists(path) && strings.Contains(read(path), "the log has been opened again") }, "it is not opened again")
	require.Equal(t, wire.CodeSuccess, p.command("whoami", "").Code)
	testkit.Eventually(t, func() bool { return strings.Contains(read(path), "command=whoami") }, "the new file is not written to")
	require.NotContains(t, read(rotated), "whoami")

	// A file that cannot be opened changes nothing.
	require.NoError(t, os.Rename(path, filepath.Join(dir, "kept")))
	require.NoError(t, os.Symlink("/etc/passwd", path))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool {
		return strings.Contains(read(filepath.Join(dir, "kept")), "the file that is open stays in use")
	}, "the error is not logged")
	require.Contains(t, read(filepath.Join(dir, "kept")), "is a symbolic link; name the file itself")
	p.stop()
	require.Empty(t, p.Err.String(), "nothing goes to standard error")
}

func TestHangupWithoutLogFileReloads(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), "log-level = \"debug\"\n"+oneSocket)
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "the configuration has been read again") }, "it did not hear it")
	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	p.stop()
}

func TestLogFileThatCannotOpenIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(path string) error
		want    string
	}{
		"a link":       {func(path string) error { return os.Symlink("elsewhere", path) }, "log: it is a symbolic link; name the file itself"},
		"a directory":  {func(path string) error { return os.Mkdir(path, 0o700) }, "log: it is a folder and no regular file"},
		"a pipe":       {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "log: it is a FIFO and no regular file"},
		"no directory": {func(path string) error { return os.Remove(filepath.Dir(path)) }, "log: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(testkit.ShortDir(t), "d")
			require.NoError(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "log")
			require.NoError(t, test.prepare(path))
			_, err := openLog(path, nil)
			require.ErrorContains(t, err, "log-file: ")
			require.ErrorContains(t, err, test.want)
		})
	}
}

// If the disk is full, the line goes to standard error.
func TestLogFileOnFullDiskWritesToStderr(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full here")
	}
	var stderr bytes.Buffer
	l := &logFile{path: "log", stderr: &stderr, file: full}
	_, err = l.Write([]byte("line\n"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, "line\n", stderr.String())
	require.NoError(t, l.Close())
	_, err = l.Write([]byte("last\n"))
	require.NoError(t, err)
	require.Equal(t, "line\nlast\n", stderr.String())
}
