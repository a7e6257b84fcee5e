package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// orphanHook writes a hook that leaves a process in its own session. With trap, the process ignores SIGTERM. It returns
// the file that gets the process id.
func orphanHook(t *testing.T, dir, name, trap string) string {
	t.Helper()
	file := filepath.Join(dir, name+".pid")
	script := fmt.Sprintf(`#!/bin/sh
(setsid sh -c '%s echo $$ > %s.new; mv %s.new %s; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &)
read hello
echo '{"introduce":{"commands":[]}}'
while read line; do :; done
`, trap, file, file, file)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	return file
}

// waitForPID waits until a file has a process id, and returns it.
func waitForPID(t *testing.T, file string) (pid int) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	}, "the file has no process id")
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// startInit starts a daemon under an init process, with two hooks that leave processes.
func startInit(t *testing.T) (p *process, orphan, ignoresTERM int) {
	t.Helper()
	dir := testkit.ShortDir(t)
	config := "state-dir = \"run\"\n" + oneSocket
	first, second := orphanHook(t, dir, "orphan", ""), orphanHook(t, dir, "ignores-term", `trap "" TERM;`)
	for _, hook := range []string{"orphan", "ignores-term"} {
		config += fmt.Sprintf("[[hook]]\nname = %q\nexec = [%q]\n", hook, "./"+hook)
	}
	writeConfig(t, dir, config)
	p = start(t, dir, nil, "--init", "-c", "config.toml")
	p.listening()
	return p, waitForPID(t, first), waitForPID(t, second)
}

func gone(pid int) bool { return !exists("/proc/" + strconv.Itoa(pid)) }

// No zombie and no process is left.
func TestInitReapsHookProcessesAndReturnsDaemonStatus(t *testing.T) {
	p, orphan, ignoresTERM := startInit(t)
	testkit.Eventually(t, func() bool {
		all := children(p.Process.Pid)
		return len(all) == 3 // the daemon and two orphans
	}, "orphans do not become children of the init process")
	require.NoError(t, syscall.Kill(orphan, syscall.SIGKILL))
	testkit.Eventually(t, func() bool { return gone(orphan) }, "a zombie stays")

	require.Equal(t, wire.CodeSuccess, p.command("shutdown", `{"exit-value":7}`).Code)
	require.Equal(t, 7, p.wait())
	require.True(t, gone(ignoresTERM), "a process that ignores SIGTERM still runs")
	requireSocketRemoved(t, p.Dir)
}

// SIGHUP reloads the configuration, SIGTERM drains.
func TestInitPassesSignalsToDaemon(t *testing.T) {
	p, orphan, _ := startInit(t)
	require.NoError(t, syscall.Kill(orphan, syscall.SIGKILL))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "SIGHUP: the configuration has been read again") }, "no reload")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.wait(), p.Err.String())
	requireSocketRemoved(t, p.Dir)
}

// The exit status is that of a shell for a killed process.
func TestInitEndsWhenDaemonIsKilled(t *testing.T) {
	p, orphan, ignoresTERM := startInit(t)
	var status struct {
		PID int `json:"pid"`
	}
	require.NoError(t, p.command("status-get", "").Decode(&status))
	require.NotEqual(t, p.Process.Pid, status.PID)
	require.NoError(t, syscall.Kill(status.PID, syscall.SIGKILL))
	require.Equal(t, 128+9, p.wait())
	require.True(t, gone(orphan))
	require.True(t, gone(ignoresTERM))
}

// The daemon drains when its init process has been killed. A signal after that is the first one, so the drain goes on.
func TestDaemonDrainsWhenInitIsKilled(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	p := start(t, dir, nil, "--init", "-c", "config.toml")
	var status struct {
		PID int `json:"pid"`
	}
	require.NoError(t, p.command("status-get", "").Decode(&status))
	conn := fillReplies(t, p) // the drain waits for the reader of this conn
	require.NoError(t, p.Process.Kill())
	testkit.Eventually(t, func() bool { return !exists(filepath.Join(dir, "control.sock")) }, "the daemon does not drain")
	require.NoError(t, syscall.Kill(status.PID, syscall.SIGTERM))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	replies, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(replies, []byte("\n")), "a reply is incomplete")
	testkit.Eventually(t, func() bool { return gone(status.PID) || isZombie(status.PID) }, "the daemon still runs")
	require.Equal(t, strings.Count(p.Err.String(), "command=build-report result=0"), bytes.Count(replies, []byte(`"result":0`)))
}

func isZombie(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(text), ") Z ")
}

// systemd does the same work, and would ignore notifications of a child.
func TestInitIsRefusedUnderSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/none")
	p := start(t, testkit.ShortDir(t), nil, "--init")
	require.Equal(t, 1, p.wait())
	require.Equal(t, "rudderpostd: --init: NOTIFY_SOCKET is set, so systemd runs this service and ends its processes; start it without --init\n", p.Err.String())
}
