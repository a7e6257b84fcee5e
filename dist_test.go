//go:build linux

package rudderpost_test

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

	"github.com/stretchr/testify/require"
)

const units = "dist/systemd/"

// unit reads a file of dist/systemd, with some of its words replaced.
func unit(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(units + name)
	require.NoError(t, err)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, string(text), replace[i], name)
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// systemd understands the units.
func TestUnitsAreValid(t *testing.T) {
	analyze := needs(t, "systemd-analyze", "systemd")
	dir := shortDir(t)
	service := filepath.Join(dir, "rudderpostd.service")
	require.NoError(t, os.WriteFile(service, []byte(unit(t, "rudderpostd.service", "/usr/local/bin/rudderpostd", program(t, "rudderpostd"))), 0o600))
	socket := filepath.Join(dir, "rudderpostd.socket")
	require.NoError(t, os.WriteFile(socket, []byte(unit(t, "rudderpostd.socket")), 0o600))
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", service, socket).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

// What the unit leaves the daemon is little, as systemd itself judges it: 0 is nothing, 10 everything.
func TestUnitIsHardened(t *testing.T) {
	analyze := needs(t, "systemd-analyze", "systemd")
	out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", units+"rudderpostd.service").CombinedOutput()
	require.NoError(t, err, "%s", out)
	found := regexp.MustCompile(`Overall exposure level for rudderpostd\.service: (\d+\.\d+) `).FindStringSubmatch(string(out))
	require.NotNil(t, found, "%s", out)
	exposure, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	require.LessOrEqual(t, exposure, 1.5, "%s", out)
}

// The unit's configuration is one, and with it the daemon answers on the socket that the socket unit
// names, while whoever started it is told how it is.
func TestUnitsConfigurationRuns(t *testing.T) {
	activate := needs(t, "systemd-socket-activate", "systemd")
	dir := shortDir(t)
	config := filepath.Join(dir, "config.toml")
	require.NoError(t, os.WriteFile(config, []byte(unit(t, "config.toml", "/var/lib/rudderpost", filepath.Join(dir, "state"))), 0o644))
	name := regexp.MustCompile(`(?m)^FileDescriptorName=(.*)$`).FindStringSubmatch(unit(t, "rudderpostd.socket"))
	require.NotNil(t, name)

	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer told.Close()
	hear := func(state string) {
		t.Helper()
		require.NoError(t, told.SetReadDeadline(time.Now().Add(patience)))
		for heard, buf := "", make([]byte, 4096); heard != state; {
			n, err := told.Read(buf)
			require.NoError(t, err, state)
			heard = string(buf[:n])
		}
	}
	path := filepath.Join(dir, "control.sock")
	daemon := start(t, dir, nil, activate, "--fdname="+name[1], "-l", path,
		"-E", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "-E", "WATCHDOG_USEC=200000",
		program(t, "rudderpostd"), "-c", config)
	eventually(t, func() bool { return strings.Contains(daemon.err.String(), "Listening on") }, "it does not listen")
	reply := ask(t, path, `{"command":"status-get"}`)
	require.Zero(t, reply.Code, reply.Text)
	hear("READY=1")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	require.FileExists(t, filepath.Join(dir, "state", "audit.jsonl"))
	require.NoError(t, daemon.Process.Signal(syscall.SIGHUP))
	require.Zero(t, ask(t, path, `{"command":"version-get"}`).Code, "SIGHUP is what ExecReload= sends")
	require.NoError(t, daemon.Process.Signal(syscall.SIGTERM))
	hear("STOPPING=1")
	require.Zero(t, daemon.wait(t), daemon.err.String())
	require.FileExists(t, path, "it is systemd's")
}
