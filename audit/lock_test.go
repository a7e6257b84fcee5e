package audit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/audit"

	"github.com/stretchr/testify/require"
)

// TestSecondDaemonIsRefusedAtOnceWithThePidOfTheFirst: the virtual clock does not move, so Open does not wait.
func TestSecondDaemonIsRefusedAtOnceWithThePidOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := written(t)
		log := quiet(t, path)
		start := time.Now()
		_, err := audit.Open(audit.Options{Path: path})
		require.ErrorContains(t, err, fmt.Sprintf("process %d writes this audit, and one daemon at a time can; stop that process", os.Getpid()))
		require.Zero(t, time.Since(start))
		require.NoError(t, log.Close())
		require.NoError(t, quiet(t, path).Close())
		verify(t, path)
	})
}

// TestSecondDaemonWaitsForOneThatIsClosing: at a restart the first daemon may still drain.
func TestSecondDaemonWaitsForOneThatIsClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := written(t)
		log := quiet(t, path)
		log.Closing()
		go func() {
			time.Sleep(3 * time.Second)
			_ = log.Close()
		}()
		var logged bytes.Buffer
		start := time.Now()
		next := open(t, audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		require.InDelta(t, 3, time.Since(start).Seconds(), 0.1)
		require.Contains(t, logged.String(), fmt.Sprintf(`msg="another daemon is closing the audit; waiting for it" file=%s pid=%d timeout=10s`, path, os.Getpid()))

		next.Closing()
		start = time.Now()
		_, err := audit.Open(audit.Options{Path: path, Logger: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, fmt.Sprintf("process %d has not closed this audit within 10s", os.Getpid()))
		require.InDelta(t, 10, time.Since(start).Seconds(), 0.1)
		require.NoError(t, next.Close())
		next.Closing() // says nothing any more
		verify(t, path)
	})
}

// TestLogOfKilledDaemonIsOpenedAtOnce: the holder that the killed daemon has left does not count.
func TestLogOfKilledDaemonIsOpenedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), beRecorder+"="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	_, err = audit.Open(audit.Options{Path: path})
	require.ErrorContains(t, err, fmt.Sprintf("process %d writes this audit", child.Process.Pid))
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	start := time.Now()
	require.NoError(t, quiet(t, path).Close())
	require.Less(t, time.Since(start), 5*time.Second)
	verify(t, path)
}
