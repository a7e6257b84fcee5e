package hooks_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// runDaemon runs a daemon with a hook that ignores the end of its stdin, prints the process id of the hook, and stays.
func runDaemon() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	set := &hooks.Set{Manager: mgr.New(nil)}
	change, err := set.Prepare(context.Background(), []hooks.Config{{Name: "deaf", Exec: []string{self}, Env: []string{hookModeEnv + "=deaf"}}})
	if err != nil {
		panic(err)
	}
	if err := change.Commit(); err != nil {
		panic(err)
	}
	fmt.Println(set.Status()[0].PID)
	hang()
}

// The kernel kills the hook of a daemon that was killed.
func TestNoHookOutlivesItsDaemon(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), hookModeEnv+"=daemon")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.True(t, isAlive(pid))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return !isAlive(pid) }, testkit.Timeout, 2*time.Millisecond)
}
