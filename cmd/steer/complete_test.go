package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// completions asks as a shell's script does, and returns what could stand there.
func completions(t *testing.T, socket string, words ...string) []string {
	t.Helper()
	got := steer(t, "", append([]string{"__complete", "-s", socket}, words...)...)
	require.Zero(t, got.status, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Regexp(t, `^:\d+$`, lines[len(lines)-1])
	return lines[:len(lines)-1]
}

// What can be completed is what the daemon says it knows.
func TestCompletion(t *testing.T) {
	socket := serve(t)
	commands := completions(t, socket, "")
	require.True(t, slices.IsSorted(commands))
	require.Subset(t, commands, []string{"echo", "fail", "list-commands", "log-level-set", "whoami"})
	require.Equal(t, []string{"result=\tThe result.", "text=\tIts text."}, completions(t, socket, "fail", ""))
	require.Equal(t, []string{"text=\tIts text."}, completions(t, socket, "fail", "result=7", ""))
	require.Equal(t, []string{
		"for=\tFor how long, such as 90s or 5m, at most 24h; missing: until the next start.",
		"level=debug\tHow much is logged.", "level=error\tHow much is logged.",
		"level=info\tHow much is logged.", "level=warn\tHow much is logged.",
	}, completions(t, socket, "log-level-set", "l"))
	require.Empty(t, completions(t, socket, "no-such-command", ""))
	require.Empty(t, completions(t, socket, "echo", ""))
}

// Where there is no daemon, or one that does not speak to sessions, there is nothing to complete.
func TestCompletionWithoutDaemon(t *testing.T) {
	require.Empty(t, completions(t, filepath.Join(testkit.ShortDir(t), "nowhere"), ""))
	require.Empty(t, completions(t, kea(t, `{ "result": 1, "text": "Received command contains unsupported parameter 'id'" }`), ""))
}

// Each shell can read its script.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string][]string{
		"bash":       {"bash", "-n"},
		"zsh":        {"zsh", "-n"},
		"fish":       {"fish", "--no-execute"},
		"powershell": nil,
	} {
		t.Run(shell, func(t *testing.T) {
			got := steer(t, "", "--completion", shell)
			require.Zero(t, got.status)
			require.Empty(t, got.err)
			require.Contains(t, got.out, "steer")
			require.NotContains(t, got.out, "%[1]s")
			if check == nil {
				return
			}
			if _, err := exec.LookPath(check[0]); err != nil {
				return // the script is there; nobody here can read it
			}
			script := filepath.Join(t.TempDir(), "script")
			require.NoError(t, os.WriteFile(script, []byte(got.out), 0o600))
			out, err := exec.Command(check[0], append(check[1:], script)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
