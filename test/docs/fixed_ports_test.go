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

// No configuration in a test has a fixed port, since another program of the machine may have it. A configuration has port 0
// (testkit.Child.ListeningOn returns the port that the kernel chose), or a port of testkit.Port.
func TestNoTestHasAFixedPort(t *testing.T) {
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
