//go:build unix && !aix

package unix_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	xunix "golang.org/x/sys/unix"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// A process that checks the path at any time never finds a socket with another mode than its final one.
func TestSocketFileHasItsModeWhenItAppears(t *testing.T) {
	for _, umask := range []string{"000", "022", "077"} {
		for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o666} {
			t.Run(fmt.Sprintf("umask %s mode %o", umask, mode), func(t *testing.T) {
				path := socketPath(t)
				c := newChild(t)
				require.Equal(t, "ok", c.ask(t, "umask %s", umask))

				want := mode
				if want == 0 {
					want = 0o600
				}
				var stop atomic.Bool
				var seen atomic.Int64
				var watcher sync.WaitGroup
				watcher.Go(func() {
					for !stop.Load() {
						info, err := os.Lstat(path)
						if err != nil {
							continue
						}
						seen.Add(1)
						if got := info.Mode(); got != want|fs.ModeSocket {
							t.Errorf("the path was there with mode %v", got)
							return
						}
					}
				})
				for i := 0; i < 25 || seen.Load() == 0; i++ { // on a loaded machine the goroutine may not have run
					require.Equal(t, "ok", c.ask(t, "listen %o %s", mode, path))
					require.Equal(t, c.hello(), helloAt(t, path))
					require.Equal(t, "ok", c.ask(t, "close"))
				}
				stop.Store(true)
				watcher.Wait()
				require.Empty(t, names(t, path))
			})
		}
	}
}

// helloAt returns the frame that the child at path sends.
func helloAt(t *testing.T, path string) string {
	t.Helper()
	c := dial(t, path)
	defer func() { require.NoError(t, c.Close()) }()
	return receive(t, c)
}

func TestSocketFileHasItsGroup(t *testing.T) {
	gid := os.Getgid()
	if os.Getuid() == 0 {
		gid = 1
	}
	for _, group := range []string{strconv.Itoa(gid), nameOf(gid)} {
		if group == "" {
			testkit.SkipOrFail(t, "this process's group has no name")
		}
		path := socketPath(t)
		listen(t, &unix.Transport{Path: path, Mode: 0o660, Group: group})
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, fs.ModeSocket|0o660, info.Mode())
		require.EqualValues(t, gid, info.Sys().(*syscall.Stat_t).Gid)
	}

	path := socketPath(t)
	_, err := (&unix.Transport{Path: path, Group: "no-such-group"}).Listen(t.Context())
	require.ErrorContains(t, err, `find the socket's group "no-such-group"`)
	require.ErrorAs(t, err, new(user.UnknownGroupError))
	require.Empty(t, names(t, path))
}

func nameOf(gid int) string {
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return ""
	}
	return g.Name
}

// After a failure that follows the lock, no file is left.
func TestGroupOfOtherUsersIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		testkit.SkipOrFail(t, "only root can become another user")
	}
	dir := openFolder(t)
	require.NoError(t, os.Chown(dir, 12345, 12345))
	path := filepath.Join(dir, "x.sock")
	c, err := startChild(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}})
	require.NoError(t, err)
	answer := c.ask(t, "listen-group 0 %s", path)
	require.Contains(t, answer, "operation not permitted; give the socket to a group that the daemon's user is in")
	require.Empty(t, names(t, path))
}

func TestModeWithMoreThanPermissionsIsRefused(t *testing.T) {
	_, err := (&unix.Transport{Path: socketPath(t), Mode: fs.ModeSetuid | 0o600}).Listen(t.Context())
	require.ErrorContains(t, err, "is more than permissions")
}

// At the path of the socket, any file that is no socket is refused and not changed; at the path of the lock, any file
// that is not regular.
func TestOtherFilesAtThePathAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, is string
		put      func(t *testing.T, path string)
	}{
		{"regular file", "a regular file", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("precious"), 0o640))
		}},
		{"directory", "a directory", func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}},
		{"dangling link", "a symbolic link", func(t *testing.T, path string) {
			require.NoError(t, os.Symlink("nowhere", path))
		}},
		{"link to a stale socket", "a symbolic link", func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "target")
			leaveStale(t, target)
			require.NoError(t, os.Symlink(target, path))
		}},
		{"fifo", "a special file", func(t *testing.T, path string) {
			require.NoError(t, xunix.Mkfifo(path, 0o600))
		}},
		{"socket", "a socket", leaveStale},
	} {
		for _, suffix := range []string{"", ".lock"} {
			if test.is == "a socket" && suffix == "" || test.is == "a regular file" && suffix == ".lock" {
				continue // as it should be
			}
			t.Run(test.name+suffix, func(t *testing.T) {
				path := socketPath(t)
				test.put(t, path+suffix)
				before, err := os.Lstat(path + suffix)
				require.NoError(t, err)

				_, err = (&unix.Transport{Path: path}).Listen(t.Context())
				require.EqualError(t, err, "listen unix "+path+": replace "+path+suffix+": it is "+test.is+
					"; move it away, or choose another path")
				require.ErrorAs(t, err, new(*net.OpError))
				require.ErrorAs(t, err, new(*fs.PathError))

				after, err := os.Lstat(path + suffix)
				require.NoError(t, err)
				require.True(t, os.SameFile(before, after))
				require.Equal(t, before.Mode(), after.Mode())
				require.Equal(t, []string{filepath.Base(path + suffix)}, names(t, path), "nothing else is left behind")
			})
		}
	}
}

// leaveStale leaves a socket file on which no process listens.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
}

func TestFolderOfOtherUsersIsRefused(t *testing.T) {
	for mode, says := range map[fs.FileMode]string{
		0o777:                 "(mode 0777); do: chmod go-w ",
		0o777 | fs.ModeSticky: "(mode 1777); use a folder of its own, with mode 0700",
		0o703:                 "(mode 0703); do: chmod o-w ",
	} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, mode))
		_, err := (&unix.Transport{Path: dir + "/x.sock"}).Listen(t.Context())
		require.ErrorContains(t, err, dir+": it can be written by any user "+says)
		require.Empty(t, names(t, dir+"/x.sock"))
	}
	for _, mode := range []fs.FileMode{0o700, 0o750, 0o775} {
		if mode == 0o775 && os.Geteuid() != 0 {
			continue // whether the members of the user's group are trusted depends on the system
		}
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, mode))
		listen(t, &unix.Transport{Path: dir + "/x.sock"})
	}

	if os.Geteuid() == 0 {
		above := t.TempDir()
		dir := filepath.Join(above, "run")
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.Chown(above, 1000, -1))
		_, err := (&unix.Transport{Path: dir + "/x.sock"}).Listen(t.Context())
		require.ErrorContains(t, err, dir+": the folder "+above+" belongs to the user 1000; only root is trusted; do: chown 0 "+above)
		listen(t, &unix.Transport{Path: dir + "/x.sock", TrustOwners: []uint32{1000}})
	}

	dir := t.TempDir()
	_, err := (&unix.Transport{Path: dir + "/none/x.sock"}).Listen(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, dir+"/none: no such file or directory; make it, with mode 0700 or 0750")

	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	_, err = (&unix.Transport{Path: dir + "/file/x.sock"}).Listen(t.Context())
	require.ErrorAs(t, err, new(*fs.PathError))
	require.ErrorContains(t, err, dir+"/file: not a directory")
}
