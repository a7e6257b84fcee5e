package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// A transport in a module of its own uses only exported packages. It passes the conformance suite and serves commands.
func TestTransportInAnotherModulePassesTheSuite(t *testing.T) {
	module := filepath.Join(testkit.ModuleRoot(t), "examples/fifotransport")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// The go command may have to change go.mod for the requirements of this module; it changes a copy.
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	inModule := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -modfile="+filepath.Join(dir, "go.mod"))
		cmd.WaitDelay = testkit.Timeout
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	// Download the modules of other projects. The test is about the packages of this repository.
	if out, err := inModule("mod", "download", "golang.org/x/sys", "github.com/go-json-experiment/json"); err != nil {
		testkit.SkipOrFail(t, "the modules that %s needs cannot be downloaded: %v\n%s", module, err, out)
	}
	out, err := inModule("vet", "./...")
	require.NoError(t, err, out)
	args := []string{"test", "-count=1", "-timeout=4m"}
	if testkit.RaceEnabled {
		args = append(args, "-race")
	}
	out, err = inModule(append(args, "./...")...)
	require.NoError(t, err, out)
}
