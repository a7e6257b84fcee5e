package browser_test

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

//go:embed package.json package-lock.json script.mjs attacks.mjs
var program embed.FS

// A script is what a browser is told to do, with what that needs.
type script struct{ dir, node, chromium string }

// newScript installs it. Nothing that is installed runs anything while it is.
func newScript(t *testing.T) script {
	t.Helper()
	s := script{dir: t.TempDir(), node: find(t, "node", "nodejs"), chromium: find(t, "chromium", "chromium")}
	npm := find(t, "npm", "npm")
	require.NoError(t, os.CopyFS(s.dir, program))
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = s.dir
	if out, err := install.CombinedOutput(); err != nil {
		testkit.SkipOrFail(t, "npm ci, which needs the network or a cache: %v\n%s", err, out)
	}
	return s
}

func find(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		testkit.SkipOrFail(t, "%s is not installed (Debian: %s)", name, debian)
	}
	return path
}

// An outcome is how a case went, for the page.
type outcome struct {
	Case   string
	Failed string // the script could not do it

	Opened bool   // the WebSocket
	Code   int    // with which it was closed
	Reply  string // what came
	Origin string // of the document, where that is not the page's

	State    string   // what a page of ours shows
	Frames   []string // the same
	Statuses []int    // of HTTP
	Result   string   // what an attack returned
}

// run runs all cases, and returns how they went.
func (s script) run(t *testing.T, places map[string]any) map[string]outcome {
	t.Helper()
	input, err := json.Marshal(places)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*testkit.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.node, filepath.Join(s.dir, "script.mjs"))
	var out, complaint bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, bytes.NewReader(input), &out, &complaint
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it ends its browsers
	cmd.WaitDelay = testkit.Timeout
	require.NoError(t, cmd.Run(), "%s\n%s", &out, &complaint)
	outcomes := map[string]outcome{}
	for line := range bytes.Lines(out.Bytes()) {
		var o outcome
		require.NoError(t, json.Unmarshal(line, &o), "%s", line)
		require.NotContains(t, outcomes, o.Case)
		outcomes[o.Case] = o
	}
	return outcomes
}
