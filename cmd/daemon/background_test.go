package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A fakeSystemd receives the notifications of a daemon.
type fakeSystemd struct {
	mu            sync.Mutex
	notifications []string
}

// startFakeSystemd opens a notification socket, and returns a function that sets the environment of the daemon.
func startFakeSystemd(t *testing.T, more ...string) (*fakeSystemd, func(*exec.Cmd)) {
	t.Helper()
	path := filepath.Join(testkit.ShortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	s := &fakeSystemd{}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.notifications = append(s.notifications, string(buf[:n]))
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		all.Wait()
	})
	return s, func(cmd *exec.Cmd) { cmd.Env = append(append(cmd.Env, "NOTIFY_SOCKET="+path), more...) }
}

// count returns how many times a state was reported.
func (s *fakeSystemd) count(state string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, told := range s.notifications {
		if told == state {
			n++
		}
	}
	return n
}

// states returns the reported states, without those for the watchdog.
func (s *fakeSystemd) states() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.notifications), func(state string) bool { return state == "WATCHDOG=1" })
}

// The daemon reports when it is ready and when it stops, and reports to the watchdog while the loop runs.
func TestSystemdIsNotified(t *testing.T) {
	systemd, env := startFakeSystemd(t, "WATCHDOG_USEC=100000", "WATCHDOG_PID=")
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	p := start(t, dir, env, "-c", "config.toml")
	testkit.Eventually(t, func() bool { return systemd.count("READY=1") == 1 }, "the daemon does not report ready")
	require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code, "it is what it said")
	testkit.Eventually(t, func() bool { return systemd.count("WATCHDOG=1") >= 3 }, "the daemon does not report to the watchdog")
	require.Zero(t, systemd.count("STOPPING=1"))

	conn := fillReplies(t, p) // the drain waits for the reader of this conn
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return systemd.count("STOPPING=1") == 1 }, "the daemon does not report that it stops")
	before := systemd.count("WATCHDOG=1")
	testkit.Eventually(t, func() bool { return systemd.count("WATCHDOG=1") > before }, "the daemon does not report to the watchdog in the drain")
	require.NoError(t, p.Process.Signal(syscall.SIGHUP)) // after that the daemon does not report ready again
	testkit.Eventually(t, func() bool { return strings.Contains(p.Out.String()+p.Err.String(), "SIGHUP: ") }, "it has not heard SIGHUP")
	require.NoError(t, conn.Close())
	require.Zero(t, p.wait())
	require.Equal(t, []string{"READY=1", "STOPPING=1"}, systemd.states())
}

// A daemon that cannot start never reports ready.
func TestFailedStartIsNotReportedReady(t *testing.T) {
	systemd, env := startFakeSystemd(t)
	dir := testkit.ShortDir(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	writeConfig(t, dir, oneSocket+"[metrics]\nlisten = \""+taken.Addr().String()+"\"\n")
	p := start(t, dir, env, "-c", "config.toml")
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "rudderpostd: metrics: listen tcp "+taken.Addr().String())
	require.Zero(t, systemd.count("READY=1"))
	requireSocketRemoved(t, dir)
}

// The daemon does not receive SIGHUP any more while it closes its hooks. The signal must not end it then.
func TestHangupWhileHooksCloseDoesNotEndDaemon(t *testing.T) {
	dir := testkit.ShortDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slow"), []byte("#!/bin/sh\nread -r hello\n"+
		`echo '{"introduce":{"commands":[{"name":"slow","summary":"-","access":"read"}]}}'`+"\nwhile read -r line; do :; done\n"+
		"touch closing\nwhile [ ! -e end ]; do sleep 0.02; done\n"), 0o755))
	p := startIn(t, dir, oneSocket+"[[hook]]\nname = \"slow\"\nexec = [\"slow\"]\n")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return exists(filepath.Join(dir, "closing")) }, "the daemon does not close its hook")
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "end"), nil, 0o600))
	require.Zero(t, p.wait(), p.Err.String())
}
