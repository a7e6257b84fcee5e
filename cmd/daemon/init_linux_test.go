package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// orphanHook writes a hook that leaves a process in a session of its own, which ignores SIGTERM if told so. It
// returns the file that gets the number of that process.
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

// pidIn waits until a file has the number of a process, and returns it.
func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	}, "no number of a process")
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// startInit starts a daemon below an init process, with two hooks that leave processes.
func startInit(t *testing.T) (p *process, polite, stubborn int) {
	t.Helper()
	dir := testkit.ShortDir(t)
	config := "state-dir = \"run\"\n" + oneSocket
	first, second := orphanHook(t, dir, "polite", ""), orphanHook(t, dir, "stubborn", `trap "" TERM;`)
	for _, hook := range []string{"polite", "stubborn"} {
		config += fmt.Sprintf("[[hook]]\nname = %q\nexec = [%q]\n", hook, "./"+hook)
	}
	writeConfig(t, dir, config)
	p = start(t, dir, nil, "--init", "-c", "config.toml")
	p.listening()
	return p, pidIn(t, first), pidIn(t, second)
}

func gone(pid int) bool { return !exists("/proc/" + strconv.Itoa(pid)) }

// TestInitReapsWhatHooksLeaveAndReturnsTheStatusOfTheDaemon: no zombie stays, and no process.
func TestInitReapsWhatHooksLeaveAndReturnsTheStatusOfTheDaemon(t *testing.T) {
	p, polite, stubborn := startInit(t)
	testkit.Eventually(t, func() bool {
		all := children(p.Process.Pid)
		return len(all) == 3 // the daemon and two orphans
	}, "orphans do not become children of the init process")
	require.NoError(t, syscall.Kill(polite, syscall.SIGKILL))
	testkit.Eventually(t, func() bool { return gone(polite) }, "a zombie stays")

	require.Equal(t, wire.CodeSuccess, p.give("shutdown", `{"exit-value":7}`).Code)
	require.Equal(t, 7, p.wait())
	require.True(t, gone(stubborn), "it ignored SIGTERM and lives on")
	requireGone(t, p.Dir)
}

// TestInitPassesSignalsToTheDaemon: SIGHUP reloads, SIGTERM drains.
func TestInitPassesSignalsToTheDaemon(t *testing.T) {
	p, polite, _ := startInit(t)
	require.NoError(t, syscall.Kill(polite, syscall.SIGKILL))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "SIGHUP: the configuration has been read again") }, "no reload")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.wait(), p.Err.String())
	requireGone(t, p.Dir)
}

// TestInitEndsWithTheDaemonThatWasKilled: its status is that of a shell.
func TestInitEndsWithTheDaemonThatWasKilled(t *testing.T) {
	p, polite, stubborn := startInit(t)
	var status struct {
		PID int `json:"pid"`
	}
	require.NoError(t, p.give("status-get", "").Decode(&status))
	require.NotEqual(t, p.Process.Pid, status.PID)
	require.NoError(t, syscall.Kill(status.PID, syscall.SIGKILL))
	require.Equal(t, 128+9, p.wait())
	require.True(t, gone(polite))
	require.True(t, gone(stubborn))
}

// TestDaemonDrainsWhenItsInitProcessIsKilled: the kernel tells it.
func TestDaemonDrainsWhenItsInitProcessIsKilled(t *testing.T) {
	p, polite, stubborn := startInit(t)
	defer func() {
		_ = syscall.Kill(polite, syscall.SIGKILL)
		_ = syscall.Kill(stubborn, syscall.SIGKILL)
	}()
	var status struct {
		PID int `json:"pid"`
	}
	require.NoError(t, p.give("status-get", "").Decode(&status))
	require.NoError(t, p.Process.Kill())
	testkit.Eventually(t, func() bool { return !exists(filepath.Join(p.Dir, "control.sock")) }, "it lives on")
	testkit.Eventually(t, func() bool { return gone(status.PID) || isZombie(status.PID) }, "it lives on")
}

func isZombie(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(text), ") Z ")
}

// TestInitIsRefusedUnderSystemd: systemd does that work, and would not hear the daemon.
func TestInitIsRefusedUnderSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/none")
	p := start(t, testkit.ShortDir(t), nil, "--init")
	require.Equal(t, 1, p.wait())
	require.Equal(t, "rudderpostd: --init: NOTIFY_SOCKET is set, so systemd runs this service and ends its processes; start it without --init\n", p.Err.String())
}
