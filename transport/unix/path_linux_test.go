package unix_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// Without /proc, short paths work, and long paths are refused with an error that says why.
func TestLongPathIsRefusedWithoutProc(t *testing.T) {
	if os.Getuid() != 0 {
		testkit.SkipOrFail(t, "only root can hide /proc")
	}
	c, err := startChild(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})
	if err != nil {
		testkit.SkipOrFail(t, "mount namespaces are not permitted: %s", err.Error())
	}
	if answer := c.ask(t, "hide-proc"); answer != "ok" {
		testkit.SkipOrFail(t, "mounts are not permitted: %s", answer)
	}
	path := socketPath(t)
	require.Equal(t, "ok", c.ask(t, "listen 640 %s", path))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket|0o640, info.Mode())
	require.Equal(t, c.hello(), helloAt(t, path))
	require.Equal(t, c.hello(), c.ask(t, "dial %s", path))
	require.Equal(t, "ok", c.ask(t, "close"))
	require.Empty(t, names(t, path))

	long := pathOf(t, 200, 20)
	require.Contains(t, c.ask(t, "listen 600 %s", long), "sockets have room for 107 here; choose a shorter one")
	require.Empty(t, names(t, long))
	l := listen(t, &unix.Transport{Path: long})
	require.Contains(t, c.ask(t, "dial %s", long), "is 200 bytes long, and sockets have room for 107 here")
	requireAnswers(t, l, long)
}
