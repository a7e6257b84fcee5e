package secrets_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"

	"github.com/stretchr/testify/require"
)

func TestUntrustedFilesAreRefused(t *testing.T) {
	line := "ann admin " + reference + "\n"
	for _, test := range []struct {
		name, says string
		make       func(t *testing.T, path string)
	}{
		{"readable by others", "other users may read it (mode 0644); do: chmod 600 ", func(t *testing.T, path string) {
			write(t, path, line)
			require.NoError(t, os.Chmod(path, 0o644))
		}},
		{"writable by others", "it can be written by any user (mode 0602); do: chmod o-w ", func(t *testing.T, path string) {
			write(t, path, line)
			require.NoError(t, os.Chmod(path, 0o602))
		}},
		{"a symbolic link to nothing", "leads to no file", func(t *testing.T, path string) {
			require.NoError(t, os.Symlink(path+".real", path))
		}},
		{"a directory", "it is a folder and no regular file", func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}},
		{"a pipe without a writer", "it is a FIFO and no regular file", func(t *testing.T, path string) {
			require.NoError(t, syscall.Mkfifo(path, 0o600))
		}},
		{"too long", "it is longer than 1024 KiB", func(t *testing.T, path string) {
			write(t, path, strings.Repeat("#", secrets.MaxSize+1))
		}},
		{"a file of another user", "it belongs to the user 4711; only root is trusted; do: chown 0 ", func(t *testing.T, path string) {
			write(t, path, line)
			if err := os.Chown(path, 4711, -1); err != nil {
				t.Skip("only root can give a file away: ", err)
			}
		}},
		{"in no directory", "first, with mode 0700", func(t *testing.T, path string) {
			require.NoError(t, os.Remove(filepath.Dir(path)))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "file")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			test.make(t, path)
			_, err := secrets.OpenUsers(path)
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, path)
			_, err = secrets.OpenTokens(path)
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestEditThatMakesTheFileTooLongIsRefused(t *testing.T) {
	secrets.FakeHashes(t, 0)
	path := filepath.Join(t.TempDir(), "users")
	text := strings.Repeat("#", secrets.MaxSize)
	write(t, path, text)
	u := openUsers(t, path)
	require.ErrorContains(t, u.Add("ann", "admin", "correct horse"), "longer than 1024 KiB")
	require.Equal(t, text, read(t, path))
	require.Empty(t, u.List())
}

func TestChangesByOtherProgramsAreRead(t *testing.T) {
	line := func(name string) string { return name + " admin " + reference + "\n" }
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "users")
		write(t, path, line("ann"))
		u := openUsers(t, path)
		reported := []string{}
		u.OnError = func(err error) { reported = append(reported, err.Error()) }
		after := func(d time.Duration) []string {
			time.Sleep(d)
			return names(u)
		}

		write(t, path, line("bob"))
		require.Equal(t, []string{"ann admin"}, after(999*time.Millisecond), "not looked at more than once a second")
		require.Equal(t, []string{"bob admin"}, after(time.Millisecond))

		write(t, path+".new", line("eve"))
		require.NoError(t, os.Rename(path+".new", path))
		require.Equal(t, []string{"eve admin"}, after(time.Second))
		require.Empty(t, reported)

		for _, test := range []struct {
			spoil func()
			says  string
		}{
			{func() { write(t, path, "nonsense") }, "line 1: it has 1 fields"},
			{func() { write(t, path, line("ann")+"nonsense") }, "line 2: it has 1 fields"},
			{func() { require.NoError(t, os.Chmod(path, 0o644)) }, "chmod 600"},
			{func() { require.NoError(t, os.Remove(path)) }, "no such file"},
			{func() { require.NoError(t, os.Mkdir(path, 0o700)) }, "no regular file"},
		} {
			test.spoil()
			reported = reported[:0]
			for range 5 {
				require.Equal(t, []string{"eve admin"}, after(time.Second), "what was there stays in force")
			}
			require.Len(t, reported, 1, "once")
			require.Contains(t, reported[0], test.says)
			require.Contains(t, reported[0], "users file: ")
			require.Contains(t, reported[0], "the old contents stay in force")
		}
		require.NoError(t, os.Remove(path))
		write(t, path, line("ann"))
		require.Equal(t, []string{"ann admin"}, after(time.Second))
		reported = reported[:0]
		write(t, path, "nonsense")
		after(time.Second)
		require.Len(t, reported, 1, "again, since it was valid in between")
	})
}

// A young file may change again without a new modification time, so it is read again. An older file is not.
func TestChangesWithinOneClockTickAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "users")
		put := func(name string, at time.Time) {
			write(t, path, name+" admin "+reference+"\n")
			require.NoError(t, os.Chtimes(path, at, at))
		}
		now := time.Now()
		put("ann", now)
		u := openUsers(t, path)
		put("bob", now)
		time.Sleep(time.Second)
		require.Equal(t, []string{"bob admin"}, names(u))

		long := now.Add(-time.Hour)
		put("ann", long)
		time.Sleep(time.Second)
		require.Equal(t, []string{"ann admin"}, names(u))
		put("bob", long)
		time.Sleep(time.Second)
		require.Equal(t, []string{"ann admin"}, names(u), "its metadata did not change")
		put("eve", long.Add(time.Nanosecond))
		time.Sleep(time.Second)
		require.Equal(t, []string{"eve admin"}, names(u))
	})
}

func TestEditReadsTheFileFirst(t *testing.T) {
	secrets.FakeHashes(t, 0)
	path := filepath.Join(t.TempDir(), "users")
	u := openUsers(t, path)
	write(t, path, "ann admin "+reference+"\n")
	require.NoError(t, u.Add("bob", "monitor", "correct horse"))
	require.Equal(t, []string{"ann admin", "bob monitor"}, names(u), "at once")
	write(t, path, "nonsense\n")
	require.ErrorContains(t, u.Remove("ann"), "line 1")
	require.Equal(t, "nonsense\n", read(t, path))
}

func TestEditWaitsForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "users")
		write(t, path, "ann admin "+reference+"\n")
		u := openUsers(t, path)
		f, err := os.Create(path + ".lock")
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
		start := time.Now()
		require.ErrorContains(t, u.Remove("ann"), "another program has locked it for 10s")
		require.Equal(t, 10*time.Second, time.Since(start))
		time.AfterFunc(time.Second, func() { _ = f.Close() })
		require.NoError(t, u.Remove("ann"))
	})
}

func TestLockFileMustNotBeASymbolicLink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "ann admin "+reference+"\n")
	require.NoError(t, os.Symlink("/etc/passwd", path+".lock"))
	err := openUsers(t, path).Remove("ann")
	require.ErrorContains(t, err, "users.lock: it is a symbolic link; name the file itself")
}

// kubernetesVolume writes a volume as the kubelet does for a Secret with defaultMode 0440 and fsGroup 1000.
func kubernetesVolume(t *testing.T, name, text string) (dir string, update func(text string)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "volume")
	require.NoError(t, os.Mkdir(dir, 0o700))
	gid := os.Getegid()
	if os.Geteuid() == 0 {
		gid = 1000
	}
	require.NoError(t, os.Chown(dir, -1, gid))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky|os.ModeSetgid))
	n := 0
	update = func(text string) {
		n++
		data := "..2026_" + strconv.Itoa(n)
		require.NoError(t, os.Mkdir(filepath.Join(dir, data), 0o755))
		write(t, filepath.Join(dir, data, name), text)
		require.NoError(t, os.Chown(filepath.Join(dir, data, name), -1, gid))
		require.NoError(t, os.Chmod(filepath.Join(dir, data, name), 0o440))
		require.NoError(t, os.Symlink(data, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	update(text)
	require.NoError(t, os.Symlink("..data/"+name, filepath.Join(dir, name)))
	return dir, update
}

func TestKubernetesSecretIsReadAndNotWritten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a file of mode 0440 is accepted if it is root's")
	}
	secrets.FakeHashes(t, 0)
	dir, update := kubernetesVolume(t, "users", "ann admin "+reference+"\n")
	path := filepath.Join(dir, "users")
	synctest.Test(t, func(t *testing.T) {
		u := openUsers(t, path)
		u.OnError = func(err error) { t.Error(err) }
		require.Equal(t, []string{"ann admin"}, names(u))
		update("bob monitor " + reference + "\n")
		time.Sleep(time.Second)
		require.Equal(t, []string{"bob monitor"}, names(u), "the kubelet has replaced ..data")
		err := u.Add("eve", "admin", "correct horse")
		require.EqualError(t, err, "use "+path+": it is a symbolic link, so it is a read-only source: change it where it comes from, such as the Kubernetes Secret")
		require.NoFileExists(t, path+".lock")
	})
	require.NoError(t, os.Chmod(filepath.Join(dir, "..data", "users"), 0o444))
	_, err := secrets.OpenUsers(path)
	require.ErrorContains(t, err, "may read the file "+dir+"/..2026_2/users (mode 0444); do: chmod 600 ")
}

func TestReadOnlyFileIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, "")
	require.NoError(t, os.Chmod(path, 0o400))
	tokens, err := secrets.OpenTokens(path)
	require.NoError(t, err)
	_, err = tokens.Mint("ci", "monitor", time.Time{})
	require.ErrorContains(t, err, "its owner may not write to it (mode 0400), so it is a read-only source")
	require.ErrorContains(t, err, "do: chmod u+w "+path)
}
