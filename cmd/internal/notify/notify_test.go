package notify_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/cmd/internal/notify"
	"github.com/rudderpost/rudderpost/loop"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen plays systemd.
func listen(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// hear returns the next thing that is told; "": nothing, for a while.
func hear(t *testing.T, conn *net.UnixConn, patience time.Duration) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		return ""
	}
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	conn := listen(t)
	notify.Ready()
	require.Equal(t, "READY=1", hear(t, conn, time.Minute))
	notify.Reloading()
	said := hear(t, conn, time.Minute)
	require.True(t, strings.HasPrefix(said, "RELOADING=1"), said)
	if runtime.GOOS == "linux" { // systemd refuses a reload that does not say when it began
		_, usec, _ := strings.Cut(said, "\nMONOTONIC_USEC=")
		n, err := strconv.ParseInt(strings.TrimSpace(usec), 10, 64)
		require.NoError(t, err, said)
		require.Positive(t, n)
	}
	notify.Stopping()
	require.Equal(t, "STOPPING=1", hear(t, conn, time.Minute))
}

// Without systemd nothing happens, and with one that is gone nothing goes wrong.
func TestNobodyWantsToKnow(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	notify.Ready()
	notify.Watchdog(t.Context(), func(func()) error { panic("nobody asked") })
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	notify.Ready()
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1") // it is another process that is watched
	notify.Watchdog(t.Context(), func(func()) error { panic("nobody asked") })
}

// The dog is fed as long as the loop turns, and no longer.
func TestWatchdog(t *testing.T) {
	conn := listen(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	l := loop.New()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		notify.Watchdog(ctx, l.Post)
	}()
	require.Empty(t, hear(t, conn, 100*time.Millisecond), "nobody runs the loop")
	for range 5 {
		require.NoError(t, l.RunOne(t.Context()))
		require.Equal(t, "WATCHDOG=1", hear(t, conn, time.Minute))
	}
	require.Empty(t, hear(t, conn, 100*time.Millisecond), "nobody runs the loop")
	require.Eventually(t, func() bool { return len(l.Ready()) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, l.Poll(), "it waits for one function, and does not pile up more")
	require.Equal(t, "WATCHDOG=1", hear(t, conn, time.Minute))
	cancel()
	<-ended

	closed := loop.New()
	closed.Close()
	notify.Watchdog(context.Background(), closed.Post)
}
