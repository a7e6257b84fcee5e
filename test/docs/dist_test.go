//go:build linux

package docs

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"

	"github.com/stretchr/testify/require"
)

// unitPath returns the path of a file of dist/systemd.
func unitPath(t *testing.T, name string) string {
	return filepath.Join(testkit.ModuleRoot(t), "dist/systemd", name)
}

// unit returns the text of a file of dist/systemd. replace has pairs of old and new texts; each old text must be there.
func unit(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(unitPath(t, name))
	require.NoError(t, err)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, string(text), replace[i], name)
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// systemd-analyze verify accepts the units.
func TestUnitsAreValid(t *testing.T) {
	analyze := testkit.NeedProgram(t, "systemd-analyze", "systemd")
	dir := testkit.ShortDir(t)
	service := filepath.Join(dir, "rudderpostd.service")
	require.NoError(t, os.WriteFile(service, []byte(unit(t, "rudderpostd.service", "/usr/local/bin/rudderpostd", testkit.Program(t, "rudderpostd"))), 0o600))
	socket := filepath.Join(dir, "rudderpostd.socket")
	require.NoError(t, os.WriteFile(socket, []byte(unit(t, "rudderpostd.socket")), 0o600))
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", service, socket).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// systemd-analyze security rates the exposure of the unit with at most 1.5, on its scale from 0 to 10.
func TestUnitIsHardened(t *testing.T) {
	analyze := testkit.NeedProgram(t, "systemd-analyze", "systemd")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", unitPath(t, "rudderpostd.service")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	found := regexp.MustCompile(`Overall exposure level for rudderpostd\.service: (\d+\.\d+) `).FindStringSubmatch(string(out))
	require.NotNil(t, found, "%s", out)
	exposure, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, exposure, 1.5, "%s", out)
}

// With the configuration of the units, the daemon answers on the socket of the socket unit, and notifies systemd of its
// state.
func TestDaemonRunsWithTheConfigurationOfTheUnits(t *testing.T) {
	activate := testkit.NeedProgram(t, "systemd-socket-activate", "systemd")
	dir := testkit.ShortDir(t)
	config := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(config, []byte(unit(t, "config.toml", "/var/lib/rudderpost", filepath.Join(dir, "state"))), 0o644))
	name := regexp.MustCompile(`(?m)^FileDescriptorName=(.*)$`).FindStringSubmatch(unit(t, "rudderpostd.socket"))
	require.NotNil(t, name)

	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer told.Close()
	hear := func(state string) {
		t.Helper()
		require.NoError(t, told.SetReadDeadline(time.Now().Add(testkit.Timeout)))
		for heard, buf := "", make([]byte, 4096); heard != state; {
			n, err := told.Read(buf)
			require.NoError(t, err, state)
			heard = string(buf[:n])
		}
	}
	path := filepath.Join(dir, "control.sock")
	daemon := testkit.StartProgram(t, dir, nil, activate, "--fdname="+name[1], "-l", path,
		"-E", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "-E", "WATCHDOG_USEC=200000",
		testkit.Program(t, "rudderpostd"), "-c", config)
	testkit.Eventually(t, func() bool { return strings.Contains(daemon.Err.String(), "Listening on") }, "it does not listen")
	reply := testdaemon.Ask(t, path, `{"command":"status-get"}`)
	require.Zero(t, reply.Code, reply.Text)
	hear("READY=1")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	require.FileExists(t, filepath.Join(dir, "state", "audit.jsonl"))
	require.NoError(t, daemon.Process.Signal(syscall.SIGHUP))
	require.Zero(t, testdaemon.Ask(t, path, `{"command":"version-get"}`).Code, "SIGHUP is what ExecReload= sends")
	require.NoError(t, daemon.Process.Signal(syscall.SIGTERM))
	hear("STOPPING=1")
	require.Zero(t, daemon.Wait(t), daemon.Err.String())
	require.FileExists(t, path, "it is systemd's")
}
