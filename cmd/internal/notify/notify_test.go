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

// listenAsSystemd opens the notification socket that systemd would have.
func listenAsSystemd(t *testing.T) *net.UnixConn {
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

// receive returns the next notification, or "" if there is none within timeout.
func receive(t *testing.T, conn *net.UnixConn, timeout time.Duration) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(timeout)))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		return ""
	}
	return string(buf[:n])
}

func TestStatesReachSystemd(t *testing.T) {
	conn := listenAsSystemd(t)
	notify.Ready()
	require.Equal(t, "READY=1", receive(t, conn, time.Minute))
	notify.Reloading()
	state := receive(t, conn, time.Minute)
	require.True(t, strings.HasPrefix(state, "RELOADING=1"), state)
	if runtime.GOOS == "linux" { // systemd requires the start time of a reload
		_, usec, _ := strings.Cut(state, "\nMONOTONIC_USEC=")
		n, err := strconv.ParseInt(strings.TrimSpace(usec), 10, 64)
		require.NoError(t, err, state)
		require.Positive(t, n)
	}
	notify.Stopping()
	require.Equal(t, "STOPPING=1", receive(t, conn, time.Minute))
}

// Without systemd, with a socket that does not exist, and with the watchdog of another process, the functions do
// nothing.
func TestWithoutSystemdNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	notify.Ready()
	notify.Watchdog(t.Context(), func(func()) error { panic("there is no watchdog") })
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	notify.Ready()
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1") // systemd watches another process
	notify.Watchdog(t.Context(), func(func()) error { panic("there is no watchdog") })
}

// Watchdog reports only while the loop runs functions.
func TestWatchdogFollowsLoop(t *testing.T) {
	conn := listenAsSystemd(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	l := loop.New()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		notify.Watchdog(ctx, l.Post)
	}()
	require.Empty(t, receive(t, conn, 100*time.Millisecond), "the loop does not run")
	for range 5 {
		require.NoError(t, l.RunOne(t.Context()))
		require.Equal(t, "WATCHDOG=1", receive(t, conn, time.Minute))
	}
	require.Empty(t, receive(t, conn, 100*time.Millisecond), "the loop does not run")
	require.Eventually(t, func() bool { return len(l.Ready()) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, l.Poll(), "Watchdog posts one function at a time")
	require.Equal(t, "WATCHDOG=1", receive(t, conn, time.Minute))
	cancel()
	<-ended

	closed := loop.New()
	closed.Close()
	notify.Watchdog(context.Background(), closed.Post)
}
