package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/stretchr/testify/require"
)

// TestNoTestsDaemonHasAFixedPort: another program of the machine, or another test, may listen at it. A configuration in a
// test has port 0 (listeningOn returns the port that the kernel chose), or one of testkit.Port.
func TestNoTestsDaemonHasAFixedPort(t *testing.T) {
	fixed := regexp.MustCompile(`(?m)^(?:address|listen) = "(?:127\.0\.0\.1|localhost|\[::1\]):[1-9]`)
	read := 0
	require.NoError(t, filepath.WalkDir(testkit.ModuleRoot(t), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		read++
		if at := fixed.FindIndex(text); at != nil {
			require.Fail(t, "a fixed port", "%s:%d: %s", path, 1+strings.Count(string(text[:at[0]]), "\n"), text[at[0]:at[1]])
		}
		return nil
	}))
	require.Greater(t, read, 100)
}
