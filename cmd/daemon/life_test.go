package main

import (
	"net"
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

// A serviceManager plays systemd: it hears what a daemon tells it.
type serviceManager struct {
	mu   sync.Mutex
	told []string
}

// beSystemd starts a service manager, and returns the environment of its services.
func beSystemd(t *testing.T, more ...string) (*serviceManager, func(*exec.Cmd)) {
	t.Helper()
	path := filepath.Join(testkit.ShortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	s := &serviceManager{}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.told = append(s.told, string(buf[:n]))
			s.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		all.Wait()
	})
	return s, func(cmd *exec.Cmd) { cmd.Env = append(append(cmd.Env, "NOTIFY_SOCKET="+path), more...) }
}

// clampCount is how often something was told.
func (s *serviceManager) count(state string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, told := range s.told {
		if told == state {
			n++
		}
	}
	return n
}

// states are what was told, apart from that the daemon lives.
func (s *serviceManager) states() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.told), func(told string) bool { return told == "WATCHDOG=1" })
}

// systemd is told when the daemon can be used and when it ends, and, while its loop turns, that it lives.
func TestServiceManagerIsTold(t *testing.T) {
	systemd, env := beSystemd(t, "WATCHDOG_USEC=100000", "WATCHDOG_PID=")
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	p := start(t, dir, env, "-c", "config.toml")
	testkit.Eventually(t, func() bool { return systemd.count("READY=1") == 1 }, "it is not ready")
	require.Equal(t, wire.CodeSuccess, p.give("version-get", "").Code, "it is what it said")
	testkit.Eventually(t, func() bool { return systemd.count("WATCHDOG=1") >= 3 }, "the dog is not fed")
	require.Zero(t, systemd.count("STOPPING=1"))

	conn := flood(t, p) // a drain that takes its time
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return systemd.count("STOPPING=1") == 1 }, "it does not say that it ends")
	fed := systemd.count("WATCHDOG=1")
	testkit.Eventually(t, func() bool { return systemd.count("WATCHDOG=1") > fed }, "the dog is not fed in the drain")
	require.NoError(t, p.Process.Signal(syscall.SIGHUP)) // and it is not ready again after that
	testkit.Eventually(t, func() bool { return strings.Contains(p.Out.String()+p.Err.String(), "SIGHUP: ") }, "it has not heard SIGHUP")
	require.NoError(t, conn.Close())
	require.Zero(t, p.wait())
	require.Equal(t, []string{"READY=1", "STOPPING=1"}, systemd.states())
}

// A daemon that cannot start never says that it is ready.
func TestServiceManagerIsToldNoLie(t *testing.T) {
	systemd, env := beSystemd(t)
	dir := testkit.ShortDir(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	writeConfig(t, dir, oneSocket+"[metrics]\nlisten = \""+taken.Addr().String()+"\"\n")
	p := start(t, dir, env, "-c", "config.toml")
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "rudderpostd: metrics: listen tcp "+taken.Addr().String())
	require.Zero(t, systemd.count("READY=1"))
	requireGone(t, dir)
}
