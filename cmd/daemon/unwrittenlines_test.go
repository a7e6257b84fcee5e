package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// unwrittenLines returns the daemon's statistic lines-unwritten.
func (p *process) unwrittenLines() int64 {
	p.t.Helper()
	var samples map[string][][2]any
	require.NoError(p.t, p.command("statistic-get", `{"name":"lines-unwritten"}`).Decode(&samples))
	require.Len(p.t, samples["lines-unwritten"], 1)
	return int64(samples["lines-unwritten"][0][0].(float64))
}

// startWithOutputPipe starts a daemon whose output is the pipe that set puts into the command. It returns the read end.
func startWithOutputPipe(t *testing.T, dir, config string, set func(*exec.Cmd, *os.File)) (*process, *os.File) {
	t.Helper()
	writeConfig(t, dir, config)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	p := start(t, dir, func(cmd *exec.Cmd) { set(cmd, w) }, "-c", "config.toml")
	require.NoError(t, w.Close())
	return p, r
}

func pipeStderr(cmd *exec.Cmd, w *os.File) { cmd.Stderr = w }
func pipeStdout(cmd *exec.Cmd, w *os.File) { cmd.Stdout = w }

func TestClosedStderrDoesNotEndTheDaemon(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p, r := startWithOutputPipe(t, dir, "log-format = \""+format+"\"\n"+oneSocket, pipeStderr)
			p.listening()
			require.NoError(t, r.Close())
			for range 5 {
				require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
			}
			require.GreaterOrEqual(t, p.unwrittenLines(), int64(4)) // the line of a command may be written after its reply
			require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
			p.stop()
			requireSocketRemoved(t, dir)
		})
	}
}

func TestClosedStderrDoesNotEndTheDrain(t *testing.T) {
	dir := testkit.ShortDir(t)
	p, r := startWithOutputPipe(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n", pipeStderr)
	p.listening()
	require.NoError(t, r.Close())
	conn := fillReplies(t, p)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	lines := bufio.NewReader(conn)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, first, `"result":0`)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return !exists(filepath.Join(dir, "control.sock")) }, "the drain does not begin")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	replies, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Contains(t, string(replies), `"result":0`)
	require.True(t, bytes.HasSuffix(replies, []byte("\n")), "a reply is incomplete")
	require.Zero(t, p.wait())
}

// The daemon prints the URL of a new listener to standard output, which is closed here.
func TestClosedStdoutDoesNotEndTheDaemon(t *testing.T) {
	dir := testkit.ShortDir(t)
	p, r := startWithOutputPipe(t, dir, oneSocket, pipeStdout)
	first, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	_, _ = p.Out.Write([]byte(first)) // p.listening reads it from there
	require.NoError(t, r.Close())
	writeConfig(t, dir, oneSocket+"[[listen]]\ntransport = \"unix\"\npath = \"second.sock\"\n")
	require.Equal(t, wire.CodeSuccess, p.command("config-reload", "").Code)
	require.Equal(t, int64(1), p.unwrittenLines())
	p.stop()
	require.Contains(t, p.Err.String(), `level=WARN msg="lines could not be written" lines=1 error="write /dev/stdout: broken pipe"`)
}

// A FIFO gets a new reader, as the log does when journald has restarted.
func TestUnwrittenLinesAreLoggedWhenStderrHasAReaderAgain(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket)
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	read := func() *os.File {
		fd, err := syscall.Open(fifo, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		require.NoError(t, err)
		return os.NewFile(uintptr(fd), fifo)
	}
	first := read()
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	require.NoError(t, err)
	p := start(t, dir, func(cmd *exec.Cmd) { cmd.Stderr = w }, "-c", "config.toml")
	require.NoError(t, w.Close())
	p.listening()
	require.NoError(t, first.Close())
	for range 3 {
		require.Equal(t, wire.CodeSuccess, p.command("version-get", "").Code)
	}
	testkit.Eventually(t, func() bool { return p.unwrittenLines() >= 4 }, "unwritten lines are not counted")
	second := read()
	t.Cleanup(func() { _ = second.Close() })
	require.NoError(t, second.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	require.Equal(t, wire.CodeSuccess, p.command("whoami", "").Code)
	lines := bufio.NewReader(second)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `level=WARN msg="lines could not be written" lines=\d+ error="write /dev/stderr: broken pipe"\n$`, line)
	line, err = lines.ReadString('\n')
	require.NoError(t, err)
	require.NotContains(t, line, "lines could not be written")
	require.Contains(t, line, "msg=command")
	p.stop()
}

func TestCheckWithClosedStdoutEndsWithStatus0(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, oneSocket)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	p := start(t, dir, func(cmd *exec.Cmd) { cmd.Stdout = w }, "-c", "config.toml", "-check")
	require.NoError(t, w.Close())
	require.Zero(t, p.wait())
	require.Empty(t, p.Err.String())
}

// The next line starts with a newline after a partial line. Lines that the file does not take go to standard error.
func TestFailedLogFileLinesGoToStderrAndAreCounted(t *testing.T) {
	dir := testkit.ShortDir(t)
	path := filepath.Join(dir, "log")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	readOnly, err := os.Open(path)
	require.NoError(t, err)
	var stderr bytes.Buffer
	l := &logFile{path: path, stderr: &stderr, file: readOnly, format: defaults().formatRecord}
	for _, line := range []string{"one\n", "two\n"} {
		_, err = l.Write([]byte(line))
		require.ErrorIs(t, err, syscall.EBADF)
	}
	require.Equal(t, int64(2), l.Unwritten())
	require.Regexp(t, `^time=\S+ level=ERROR msg="log-file cannot be written; until it can, lines go to standard error" error="write .*: bad file descriptor"\none\ntwo\n$`, stderr.String())
	require.NoError(t, l.Reopen())
	n, err := l.Write([]byte("three\n"))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	_, err = l.Write([]byte("four\n"))
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, `^time=\S+ level=WARN msg="lines could not be written" lines=2 error="write .*: bad file descriptor"\nthree\nfour\n$`, string(text))
	require.Equal(t, 2, strings.Count(stderr.String(), "\n")-1, "standard error got what the file takes")
	require.NoError(t, l.Close())
}
