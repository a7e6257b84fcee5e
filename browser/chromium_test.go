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

// A script is the Node program that controls the browser.
type script struct{ dir, node, chromium string }

// newScript installs the program and its packages, without their install scripts.
func newScript(t *testing.T) script {
	t.Helper()
	s := script{dir: t.TempDir(), node: findProgram(t, "node", "nodejs"), chromium: findProgram(t, "chromium", "chromium")}
	npm := findProgram(t, "npm", "npm")
	require.NoError(t, os.CopyFS(s.dir, program))
	install := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = s.dir
	if out, err := install.CombinedOutput(); err != nil {
		testkit.SkipOrFail(t, "npm ci needs the network or a cache: %v\n%s", err, out)
	}
	return s
}

func findProgram(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		testkit.SkipOrFail(t, "%s is not installed (Debian: %s)", name, debian)
	}
	return path
}

// An outcome is the result of a case in the page.
type outcome struct {
	Case   string
	Failed string // the error of the script

	Opened bool   // the WebSocket was opened
	Code   int    // the close code
	Reply  string // the reply
	Origin string // of the document, if it is not that of the page

	State    string   // text of page.html
	Frames   []string // text of page.html
	Statuses []int    // HTTP status codes
	Result   string   // the result of an attack
}

// run runs all cases, and returns their outcomes by name.
func (s script) run(t *testing.T, places map[string]any) map[string]outcome {
	t.Helper()
	input, err := json.Marshal(places)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*testkit.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.node, filepath.Join(s.dir, "script.mjs"))
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.dir, bytes.NewReader(input), &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that the script ends its browsers
	cmd.WaitDelay = testkit.Timeout
	require.NoError(t, cmd.Run(), "%s\n%s", &stdout, &stderr)
	outcomes := map[string]outcome{}
	for line := range bytes.Lines(stdout.Bytes()) {
		var o outcome
		require.NoError(t, json.Unmarshal(line, &o), "%s", line)
		require.NotContains(t, outcomes, o.Case)
		outcomes[o.Case] = o
	}
	return outcomes
}
