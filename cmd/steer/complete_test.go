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

// completionLines runs steer as the completion script of a shell does, and returns the candidates.
func completionLines(t *testing.T, socket string, words ...string) []string {
	t.Helper()
	got := steer(t, "", append([]string{"__complete", "-s", socket}, words...)...)
	require.Zero(t, got.status, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Regexp(t, `^:\d+$`, lines[len(lines)-1])
	return lines[:len(lines)-1]
}

// The candidates are the commands and arguments that the daemon describes.
func TestCompletionListsCommandsAndArguments(t *testing.T) {
	socket := serve(t)
	commands := completionLines(t, socket, "")
	require.True(t, slices.IsSorted(commands))
	require.Subset(t, commands, []string{"echo", "fail", "list-commands", "log-level-set", "whoami"})
	require.Equal(t, []string{"result=\tThe result.", "text=\tIts text."}, completionLines(t, socket, "fail", ""))
	require.Equal(t, []string{"text=\tIts text."}, completionLines(t, socket, "fail", "result=7", ""))
	require.Equal(t, []string{
		"for=\tFor how long, such as 90s or 5m, at most 24h; missing: until the next start.",
		"level=debug\tThe least level that is logged.", "level=error\tThe least level that is logged.",
		"level=info\tThe least level that is logged.", "level=warn\tThe least level that is logged.",
	}, completionLines(t, socket, "log-level-set", "l"))
	require.Empty(t, completionLines(t, socket, "no-such-command", ""))
	require.Empty(t, completionLines(t, socket, "echo", ""))
}

// Without a daemon, and with one that does not know ids, there are no candidates.
func TestCompletionWithoutDaemonIsEmpty(t *testing.T) {
	require.Empty(t, completionLines(t, filepath.Join(testkit.ShortDir(t), "nowhere"), ""))
	require.Empty(t, completionLines(t, serveKeaReply(t, `{ "result": 1, "text": "Received command contains unsupported parameter 'id'" }`), ""))
}

// Each shell can parse its script.
func TestCompletionScriptsParse(t *testing.T) {
	for shell, check := range map[string][]string{
		"bash":       {"bash", "-n"},
		"zsh":        {"zsh", "-n"},
		"fish":       {"fish", "--no-execute"},
		"powershell": nil,
	} {
		t.Run(shell, func(t *testing.T) {
			got := steer(t, "", "--completion", shell)
			require.Zero(t, got.status)
			require.Empty(t, got.stderr)
			require.Contains(t, got.stdout, "steer")
			require.NotContains(t, got.stdout, "%[1]s")
			if check == nil {
				return
			}
			if _, err := exec.LookPath(check[0]); err != nil {
				return // this machine has no such shell to parse the script
			}
			script := filepath.Join(t.TempDir(), "script")
			require.NoError(t, os.WriteFile(script, []byte(got.stdout), 0o600))
			out, err := exec.Command(check[0], append(check[1:], script)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
