package rudderpost_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// config.toml.example runs as it is, for anybody, in an empty directory of theirs.
func TestExampleConfigRuns(t *testing.T) {
	const nobody = 65534
	dir := shortDir(t)
	text, err := os.ReadFile("config.toml.example")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml.example"), text, 0o644))
	var who *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, nobody, nobody))
		who = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	as := func(cmd *exec.Cmd) {
		if who != nil {
			cmd.SysProcAttr = who
		}
	}
	daemon := start(t, dir, as, program(t, "rudderpostd"), "-c", "config.toml.example")
	require.Equal(t, filepath.Join(dir, "run", "control.sock"), daemon.listening(t))

	client := start(t, dir, as, program(t, "steer"), "-s", "unix:run/control.sock", "status-get")
	require.Zero(t, client.wait(t), client.err.String())
	var reply struct {
		Result    int
		Arguments struct {
			PID     int
			Sockets struct{ Status string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(client.out.String()), &reply))
	require.Zero(t, reply.Result)
	require.Equal(t, daemon.Process.Pid, reply.Arguments.PID)
	require.Equal(t, "ready", reply.Arguments.Sockets.Status)

	require.NoError(t, daemon.Process.Signal(syscall.SIGTERM))
	require.Zero(t, daemon.wait(t), daemon.err.String())
	left, err := os.ReadDir(filepath.Join(dir, "run"))
	require.NoError(t, err)
	require.Empty(t, left)
}
