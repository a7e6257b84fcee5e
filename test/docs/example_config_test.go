package docs

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// config.toml.example runs unchanged, except for the ports, for a user without rights in an empty directory. Each command
// line that the daemon prints reaches the daemon, on every listener.
func TestExampleConfigRuns(t *testing.T) {
	dir, as, own := newcomer(t)
	daemon := testkit.StartProgram(t, dir, as, testkit.Program(t, "rudderpostd"), "-c", "config.toml.example")
	require.Equal(t, filepath.Join(dir, "run", "control.sock"), daemon.Listening(t))
	testkit.Eventually(t, func() bool { return strings.Contains(daemon.Out.String(), "first.token\n") }, "it does not say where its first token is")

	steer := func(args ...string) (told answer) {
		p := testkit.StartProgram(t, dir, as, testkit.Program(t, "steer"), args...)
		told.status = p.Wait(t)
		told.err = p.Err.String()
		if p.Out.String() != "" {
			require.NoError(t, json.Unmarshal([]byte(p.Out.String()), &told.reply), p.Out.String())
		}
		return told
	}
	told := steer("-s", "unix:run/control.sock", "status-get")
	require.Zero(t, told.status, told.err)
	require.Equal(t, float64(daemon.Process.Pid), told.reply.Arguments["pid"])

	var reached []string
	for _, command := range printed(daemon.Out.String()) {
		told := steer(command...)
		require.Zero(t, told.status, "%s: %s", command, told.err)
		reached = append(reached, told.reply.Arguments["transport"].(string))
	}
	require.Equal(t, []string{"unix", "tls", "tcp", "quic", "https", "https", "http", "wss", "wss", "ws"}, reached)

	// The first token must not shut down the daemon, and an anonymous client must not change the log level.
	told = steer("-s", own("http://127.0.0.1:8000"), "--token-file", "run/first.token", "shutdown")
	require.Equal(t, 77, told.status)
	require.Equal(t, 403, told.reply.Result)
	require.Contains(t, told.reply.Text, "'shutdown' is not allowed for token:first")
	told = steer("-s", own("tcp://127.0.0.1:7440"), "log-level-set", "level=debug")
	require.Equal(t, 77, told.status)

	told = steer("-s", own("quic://127.0.0.1:7443"), "--pki", "run/pki", "shutdown")
	require.Zero(t, told.status, told.err)
	require.Zero(t, daemon.Wait(t), daemon.Err.String())

	// Other users cannot read the files of the daemon. The next start uses these files.
	files := map[string]bool{}
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "run"), func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		if filepath.Ext(path) != ".pem" { // certificates are not secret
			require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %v", path, info.Mode())
		}
		files[e.Name()] = true
		return nil
	}))
	for _, name := range []string{"users", "tokens", "first.token", "ca.pem", "admin.key", "quic.keys"} {
		require.Contains(t, files, name)
	}
	require.NotContains(t, files, "control.sock")
	ca, err := os.ReadFile(filepath.Join(dir, "run", "pki", "ca.pem"))
	require.NoError(t, err)

	again := testkit.StartProgram(t, dir, as, testkit.Program(t, "rudderpostd"), "-c", "config.toml.example")
	again.Listening(t)
	again.ListeningOn(t, "ws")
	require.NotContains(t, again.Out.String(), "first.token", "it has been given out")
	after, err := os.ReadFile(filepath.Join(dir, "run", "pki", "ca.pem"))
	require.NoError(t, err)
	require.Equal(t, ca, after)
	told = steer("-s", own("wss://127.0.0.1:7444"), "--ca", "run/pki/ca.pem", "--token-file", "run/first.token", "whoami")
	require.Zero(t, told.status, told.err)
	require.NoError(t, again.Process.Signal(syscall.SIGTERM))
	require.Zero(t, again.Wait(t), again.Err.String())
}

// An answer is the output and the exit status of steer.
type answer struct {
	status int
	err    string
	reply  struct {
		Result    int
		Text      string
		Arguments map[string]any
	}
}

// newcomer makes a directory with a copy of the example, for a user without rights. as makes a command run as that user. own
// replaces the ports of the example by those of the copy.
func newcomer(t *testing.T) (dir string, as func(*exec.Cmd), own func(string) string) {
	t.Helper()
	const nobody = 65534
	dir = testkit.ShortDir(t)
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "config.toml.example"))
	require.NoError(t, err)
	own = testkit.OwnPorts(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml.example"), []byte(own(string(text))), 0o644))
	var who *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, nobody, nobody))
		who = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return dir, func(cmd *exec.Cmd) {
		if who != nil {
			cmd.SysProcAttr = who
		}
	}, own
}

// printed returns the command lines of steer that a daemon has printed, one for each kind of credentials.
func printed(out string) (commands [][]string) {
	for line := range strings.Lines(out) {
		_, rest, ok := strings.Cut(line, ": steer ")
		if !ok {
			continue
		}
		command, instead, _ := strings.Cut(strings.TrimSpace(rest), "; or by ")
		args := strings.Fields(command)
		commands = append(commands, args)
		if _, flags, ok := strings.Cut(instead, ": "); ok {
			args = slices.Clone(args)
			args = append(args, strings.Fields(strings.Replace(flags, "FILE", "run/first.token", 1))...)
			commands = append(commands, args)
		}
	}
	return commands
}
