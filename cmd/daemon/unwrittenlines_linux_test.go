package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Hooks inherit an ignored signal, but not a caught one.
func TestSIGPIPEIsCaughtAndNotIgnored(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	mask := regexp.MustCompile(`(?m)^SigIgn:\s*([0-9a-f]+)$`).FindSubmatch(text)
	require.NotNil(t, mask)
	ignored, err := strconv.ParseUint(string(mask[1]), 16, 64)
	require.NoError(t, err)
	require.Zero(t, ignored&(1<<(uint(syscall.SIGPIPE)-1)))
	p.stop()
}

// A file size limit ends a write within a line, as a full disk does.
func TestLogFileAfterFullDiskStartsWithWholeLine(t *testing.T) {
	dir := testkit.ShortDir(t)
	path := filepath.Join(dir, "log")
	p := startIn(t, dir, "log-file = \"log\"\n"+oneSocket)
	read := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	testkit.Eventually(t, func() bool { return strings.HasSuffix(read(), "\n") }, "the log is empty")
	size := uint64(len(read()))
	var before unix.Rlimit
	limit := unix.Rlimit{Cur: size + 20}
	require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, nil, &before))
	limit.Max = before.Max
	require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
	for range 3 {
		require.Equal(t, wire.CodeSuccess, p.command("whoami", "").Code)
	}
	testkit.Eventually(t, func() bool { return strings.Count(p.Err.String(), "command=whoami") == 3 }, "lines do not go to standard error")
	require.Equal(t, 1, strings.Count(p.Err.String(), "log-file cannot be written; until it can, lines go to standard error"))
	require.Len(t, read(), int(size)+20)
	require.GreaterOrEqual(t, p.unwrittenLines(), int64(3))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "command=statistic-get") }, "a line is missing")

	require.NoError(t, unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &before, nil))
	require.Equal(t, wire.CodeSuccess, p.command("status-get", "").Code)
	testkit.Eventually(t, func() bool { return strings.Contains(read(), "command=status-get") }, "the file is not written to again")
	after := strings.Split(read()[size:], "\n")
	require.Len(t, after, 4) // the partial line, the number of missing lines, the new line, and an empty rest
	require.Len(t, after[0], 20)
	require.Contains(t, after[1], `msg="lines could not be written" lines=4 error="write `+path+`: file too large"`)
	require.Contains(t, after[2], "command=status-get")
	p.stop()
}
