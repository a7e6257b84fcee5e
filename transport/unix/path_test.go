//go:build unix && !aix

package unix_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
)

func TestListenAndDialRefuseImpossiblePaths(t *testing.T) {
	for path, why := range map[string]string{
		"":        "the path is empty",
		"@kea":    "abstract sockets have no permissions",
		"./@kea":  "abstract sockets have no permissions",
		"\x00kea": "NUL byte",
		"/":       "names a directory",
		".":       "names a directory",
		"a/..":    "names a directory",
		"..":      "names a directory",
	} {
		tr := &unix.Transport{Path: path}
		_, err := tr.Listen(t.Context())
		require.ErrorContains(t, err, why)
		require.ErrorAs(t, err, new(*net.OpError))
		_, err = tr.Dial(t.Context())
		require.ErrorContains(t, err, why)
		require.ErrorAs(t, err, new(*net.OpError))
	}
}

// pathOf returns a path of n bytes whose last element has at most last bytes.
func pathOf(t *testing.T, n, last int) string {
	t.Helper()
	dir := t.TempDir()
	for n-len(dir)-1 > last {
		dir = filepath.Join(dir, strings.Repeat("d", min(50, n-len(dir)-3)))
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, strings.Repeat("s", n-len(dir)-1))
	require.Len(t, path, n)
	return path
}

func TestLongPathsWorkOnLinuxOnly(t *testing.T) {
	for _, n := range []int{90, 100, 106, 107, 108, 109, 200, 1000} {
		for _, last := range []int{10, 95, 240} {
			path := pathOf(t, n, last)
			tr := &unix.Transport{Path: path}
			l, err := tr.Listen(t.Context())
			if runtime.GOOS != "linux" && err != nil {
				require.ErrorIs(t, err, syscall.ENAMETOOLONG)
				require.ErrorContains(t, err, "choose a shorter one")
				continue
			}
			require.NoError(t, err)
			requireAnswers(t, l, path)
			_, err = tr.Listen(t.Context())
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.NoError(t, l.Close())
			require.Empty(t, names(t, path))

			_, err = tr.Dial(t.Context())
			require.ErrorIs(t, err, os.ErrNotExist)
			require.ErrorContains(t, err, path)

			if n < 109 { // the files of a killed daemon, as far as this test can make them
				if n <= 100 {
					leaveStale(t, path)
				}
				l, err = tr.Listen(t.Context())
				require.NoError(t, err)
				requireAnswers(t, l, path)
				require.NoError(t, l.Close())
			}
		}
	}
}

// The socket of a killed daemon with a long path is replaced. A running daemon is found without its lock file.
func TestOwnerOfLongPathIsFoundOrReplaced(t *testing.T) {
	if runtime.GOOS != "linux" {
		testkit.SkipOrFail(t, "long paths are for Linux only")
	}
	path := pathOf(t, 300, 200)
	c := newChild(t)
	require.Equal(t, "ok", c.ask(t, "listen 600 %s", path))
	require.NoError(t, os.Remove(path+".lock"))
	_, err := (&unix.Transport{Path: path}).Listen(t.Context())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.Equal(t, c.hello(), helloAt(t, path))
	c.kill(t)
	l := listen(t, &unix.Transport{Path: path})
	requireAnswers(t, l, path)
}

func TestRelativePathStartsAtWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	l := listen(t, &unix.Transport{Path: "x.sock"})
	requireAnswers(t, l, "./x.sock")
	require.Equal(t, "x.sock", l.Addr().String())

	t.Chdir(t.TempDir()) // the files are found wherever the daemon has gone
	require.NoError(t, l.Close())
	_, err := os.Lstat("x.sock")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The folder may be a symbolic link, as /var/run is.
func TestFolderMayBeASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/real", 0o700))
	require.NoError(t, os.Symlink("real", dir+"/link"))
	l := listen(t, &unix.Transport{Path: dir + "/link/x.sock"})
	requireAnswers(t, l, dir+"/real/x.sock")
}
