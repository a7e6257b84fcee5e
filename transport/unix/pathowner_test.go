//go:build unix && !aix

package unix_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

func TestSecondDaemonIsRefused(t *testing.T) {
	path := socketPath(t)
	first := listen(t, &unix.Transport{Path: path})
	for range 3 {
		_, err := (&unix.Transport{Path: path}).Listen(t.Context())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.ErrorAs(t, err, new(*net.OpError))
		require.EqualError(t, err, "listen unix "+path+
			": address already in use: another daemon owns this socket; stop it, or choose another path")
		require.Equal(t, "busy", newChild(t).ask(t, "listen 600 %s", path))
		requireAnswers(t, first, path)
	}
	require.Equal(t, []string{"x.sock", "x.sock.lock"}, names(t, path))
}

// A process that listens on the path without a lock file owns the path too.
func TestPathOfListenerWithoutLockFileIsRefused(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			path := socketPath(t)
			addr := &net.UnixAddr{Name: path, Net: network}
			if network == "unixgram" {
				c, err := net.ListenUnixgram(network, addr)
				require.NoError(t, err)
				defer func() { require.NoError(t, c.Close()) }()
			} else {
				l, err := net.ListenUnix(network, addr)
				require.NoError(t, err)
				defer func() { require.NoError(t, l.Close()) }()
			}
			_, err := (&unix.Transport{Path: path}).Listen(t.Context())
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.Equal(t, []string{"x.sock"}, names(t, path))
		})
	}
}

// A process that listens on the path and accepts no connection, because its queue is full, still owns the path.
func TestPathOfListenerWithFullQueueIsRefused(t *testing.T) {
	path := socketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Close(fd)) }()
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	require.NoError(t, syscall.Listen(fd, 0))
	for full := false; !full; {
		c, err := net.Dial("unix", path)
		if err == nil {
			defer func() { require.NoError(t, c.Close()) }()
		}
		full = err != nil
	}
	_, err = (&unix.Transport{Path: path}).Listen(t.Context())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestKilledDaemonIsReplaced(t *testing.T) {
	path := socketPath(t)
	for range 5 {
		c := newChild(t)
		require.Equal(t, "ok", c.ask(t, "listen 666 %s", path))
		require.Equal(t, c.hello(), helloAt(t, path))
		c.kill(t)
		require.Equal(t, []string{"x.sock", "x.sock.lock"}, names(t, path))
		_, err := (&unix.Transport{Path: path}).Dial(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.ErrorContains(t, err, "start it again")

		l := listen(t, &unix.Transport{Path: path})
		requireAnswers(t, l, path)
		require.NoError(t, l.Close())
		require.Empty(t, names(t, path))
	}
}

// A daemon that is killed between bind and rename leaves its temporary socket. The next daemon removes it.
func TestTemporarySocketOfKilledDaemonIsReplaced(t *testing.T) {
	path := socketPath(t)
	temp := filepath.Join(filepath.Dir(path), unix.TempSocketName("x.sock"))
	leaveStale(t, temp)
	l := listen(t, &unix.Transport{Path: path})
	requireAnswers(t, l, path)
	require.Equal(t, []string{"x.sock", "x.sock.lock"}, names(t, path))
	require.NoError(t, l.Close())

	require.NoError(t, os.WriteFile(temp, nil, 0o600))
	_, err := (&unix.Transport{Path: path}).Listen(t.Context())
	require.ErrorContains(t, err, temp+": it is a regular file; move it away")
	require.Equal(t, []string{filepath.Base(temp)}, names(t, path))
}

// When two listeners of one process start at the same time, exactly one owns the path.
func TestOneOfTwoListenersOwnsThePath(t *testing.T) {
	path := socketPath(t)
	for round := range 300 {
		if round%2 == 1 {
			leaveStale(t, path)
		}
		var ls [2]transport.Listener
		var errs [2]error
		var both sync.WaitGroup
		start := make(chan struct{})
		for i := range ls {
			both.Go(func() {
				<-start
				ls[i], errs[i] = (&unix.Transport{Path: path}).Listen(context.Background())
			})
		}
		close(start)
		both.Wait()
		owner := 0
		if errs[0] != nil {
			owner = 1
		}
		require.NoError(t, errs[owner])
		require.ErrorIs(t, errs[1-owner], syscall.EADDRINUSE)
		requireAnswers(t, ls[owner], path)
		require.NoError(t, ls[owner].Close())
		require.Empty(t, names(t, path))
	}
}

// When two processes start at the same time, exactly one owns the path.
func TestOneOfTwoProcessesOwnsThePath(t *testing.T) {
	path := socketPath(t)
	children := [2]*child{newChild(t), newChild(t)}
	for round := range 300 {
		if round%2 == 1 {
			leaveStale(t, path)
		}
		first := round / 2 % 2
		children[first].tell(t, "listen 600 %s", path)
		children[1-first].tell(t, "listen 600 %s", path)
		answers := [2]string{children[0].answer(t), children[1].answer(t)}
		owner := 0
		if answers[0] != "ok" {
			owner = 1
		}
		require.Equal(t, "ok", answers[owner])
		require.Equal(t, "busy", answers[1-owner])
		require.Equal(t, children[owner].hello(), helloAt(t, path))
		require.Equal(t, "ok", children[owner].ask(t, "close"))
		require.Empty(t, names(t, path))
	}
}

// When processes take over the path from each other many times, at most one owns it at a time, and each of them becomes
// the owner.
func TestProcessesThatTakeOverThePathAreNeverTwoOwners(t *testing.T) {
	path := socketPath(t)
	children := []*child{newChild(t), newChild(t), newChild(t)}
	for _, c := range children {
		c.tell(t, "contend %s", path)
	}
	for _, c := range children {
		require.Equal(t, "ok", c.answer(t))
	}
	require.Empty(t, names(t, path))
}

// When Close has returned, another process can own the path at once.
func TestAnotherProcessOwnsThePathAfterClose(t *testing.T) {
	path := socketPath(t)
	c := newChild(t)
	for range 100 {
		l, err := (&unix.Transport{Path: path}).Listen(t.Context())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Equal(t, "ok", c.ask(t, "listen 600 %s", path))
		require.Equal(t, "ok", c.ask(t, "close"))
	}
}

func TestCloseRemovesOnlyItsOwnFile(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	require.NoError(t, os.Remove(path))
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()

	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "again")
	require.Equal(t, []string{"x.sock"}, names(t, path))
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// When the lock file was removed and another daemon has made a new one, Close does not remove the new one.
func TestCloseRemovesOnlyItsOwnLock(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	require.NoError(t, os.Remove(path+".lock"))
	require.NoError(t, os.WriteFile(path+".lock", nil, 0o600))
	require.NoError(t, l.Close())
	require.Equal(t, []string{"x.sock.lock"}, names(t, path))
}

// Close finds its files after the folder was renamed.
func TestCloseFindsFilesInRenamedFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/a", 0o700))
	path := dir + "/a/x.sock"
	l := listen(t, &unix.Transport{Path: path})
	require.NoError(t, os.Rename(dir+"/a", dir+"/b"))
	require.NoError(t, os.Mkdir(dir+"/a", 0o700))
	second := listen(t, &unix.Transport{Path: path})
	require.NoError(t, l.Close())
	require.Empty(t, names(t, dir+"/b/x.sock"))
	requireAnswers(t, second, path)
}

// No descriptor stays open after a failure: 200 refused starts need as many descriptors as one.
func TestFailedListenLeavesNoDescriptorOpen(t *testing.T) {
	path := socketPath(t)
	listen(t, &unix.Transport{Path: path})
	refuse := func(tr *unix.Transport) {
		_, err := tr.Listen(t.Context())
		require.Error(t, err)
	}
	plain := socketPath(t)
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	before := openFiles(t)
	for range 200 {
		refuse(&unix.Transport{Path: path})
		refuse(&unix.Transport{Path: plain})
		refuse(&unix.Transport{Path: strings.TrimSuffix(plain, "x.sock")})
	}
	require.Equal(t, before, openFiles(t))
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		testkit.SkipOrFail(t, "there is no /proc/self/fd to count open files in")
	}
	require.NoError(t, err)
	return len(entries)
}
