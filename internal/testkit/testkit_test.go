package testkit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	status := m.Run()
	testkit.RemovePrograms()
	os.Exit(status)
}

func TestModuleRootHasTheGoMod(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "go.mod"))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "module github.com/rudderpost/rudderpost\n"))
	t.Chdir("/")
	require.FileExists(t, filepath.Join(testkit.ModuleRoot(t), "go.mod"))
}

func TestSkipOrFailFailsWhereSkippingIsForbidden(t *testing.T) {
	for value, failed := range map[string]bool{"": false, "1": true} {
		t.Setenv(testkit.Require, value)
		spy := &spy{TB: t}
		testkit.SkipOrFail(spy, "no %s", "disk")
		require.Equal(t, failed, spy.failed)
		require.True(t, spy.skipped)
	}
}

// A spy records the calls of Fatalf and Skipf, and returns from both.
type spy struct {
	testing.TB
	failed, skipped bool
}

func (s *spy) Fatalf(string, ...any) { s.failed = true }
func (s *spy) Skipf(string, ...any)  { s.skipped = true }
