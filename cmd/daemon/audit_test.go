package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// This also holds for a daemon with another socket. While the first daemon drains, the second one waits for it, as in a
// restart.
func TestSecondDaemonWithTheSameAuditIsRefusedWithThePidOfTheFirst(t *testing.T) {
	dir := testkit.ShortDir(t)
	audit := fmt.Sprintf("[audit]\nfile = %q\n[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n", filepath.Join(dir, "audit.jsonl"))
	first := startIn(t, dir, oneSocket+audit)
	other := testkit.ShortDir(t)
	writeConfig(t, other, oneSocket+audit)
	second := start(t, other, nil, "-c", "config.toml")
	require.Equal(t, 1, second.wait())
	require.Contains(t, second.Err.String(), fmt.Sprintf("audit.jsonl.head: process %d writes this audit, and one daemon at a time can; stop that process", first.Process.Pid))

	conn := fillReplies(t, first)
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool {
		head, err := os.ReadFile(filepath.Join(dir, "audit.jsonl.head"))
		return err == nil && strings.Contains(string(head), " closing ")
	}, "the first daemon does not report its drain")
	third := start(t, other, nil, "-c", "config.toml")
	testkit.Eventually(t, func() bool {
		return strings.Contains(third.Err.String(), fmt.Sprintf("another daemon is closing the audit; waiting for it\" file=%s pid=%d", filepath.Join(dir, "audit.jsonl"), first.Process.Pid))
	}, "the second daemon does not report that it waits")
	require.NoError(t, conn.Close())
	third.listening()
	require.Zero(t, first.wait(), first.Err.String())
	third.stop()
}
