package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// Without a file there is one socket, in a directory that only its user can enter.
func TestDaemonWithoutFileOpensPrivateSocket(t *testing.T) {
	runtime := testkit.ShortDir(t)
	p := start(t, testkit.ShortDir(t), func(cmd *exec.Cmd) {
		testkit.RunUnprivileged(t, cmd)
		if cmd.SysProcAttr != nil {
			require.NoError(t, os.Chown(runtime, 65534, 65534))
		}
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtime)
	})
	require.Equal(t, filepath.Join(runtime, "rudderpost", "control.sock"), p.listening())
	info, err := os.Lstat(filepath.Join(runtime, "rudderpost"))
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())
	info, err = os.Lstat(p.listening())
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	require.Equal(t, wire.CodeSuccess, p.command("status-get", "").Code)
}

func TestDaemonWithoutFileNeedsRuntimeDir(t *testing.T) {
	for _, place := range []string{"", "relative"} {
		p := start(t, testkit.ShortDir(t), func(cmd *exec.Cmd) {
			testkit.RunUnprivileged(t, cmd)
			cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+place)
		})
		if os.Geteuid() != 0 || p.SysProcAttr != nil {
			require.Equal(t, 1, p.wait())
			require.Equal(t, "rudderpostd: XDG_RUNTIME_DIR is not set, so there is no place for a socket of your own; set it, or give a configuration with -c\n", p.Err.String())
		}
	}
}

// The exit status is the one that shutdown has asked for; the system keeps eight bits of it.
func TestExitStatusIsThatOfShutdown(t *testing.T) {
	for arguments, status := range map[string]int{
		"":                   0,
		`{}`:                 0,
		`{"exit-value":0}`:   0,
		`{"exit-value":7}`:   7,
		`{"exit-value":300}`: 44,
		`{"exit-value":-1}`:  255,
	} {
		t.Run(strconv.Itoa(status)+arguments, func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p := startIn(t, dir, oneSocket)
			reply := p.command("shutdown", arguments)
			require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
			require.Equal(t, "Shutting down.", reply.Text)
			require.Equal(t, status, p.wait())
			requireSocketRemoved(t, dir)
		})
	}
}

// requireSocketRemoved checks that the socket and its lock file are gone.
func requireSocketRemoved(t *testing.T, dir string) {
	t.Helper()
	require.False(t, exists(filepath.Join(dir, "control.sock")))
	require.False(t, exists(filepath.Join(dir, "control.sock.lock")))
}

// SIGTERM and SIGINT end the daemon as shutdown does. Idle conns do not delay that.
func TestSignalDrainsAndEndsDaemon(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := testkit.ShortDir(t)
			p := startIn(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\n")
			silent, err := net.Dial("unix", p.listening())
			require.NoError(t, err)
			defer silent.Close()
			session, err := net.Dial("unix", p.listening())
			require.NoError(t, err)
			defer session.Close()
			_, err = io.WriteString(session, `{"command":"version-get","id":1}`)
			require.NoError(t, err)
			_, err = bufio.NewReader(session).ReadString('\n')
			require.NoError(t, err)
			require.NoError(t, p.Process.Signal(signal))
			require.Zero(t, p.wait())
			requireSocketRemoved(t, dir)
		})
	}
}

// fillReplies sends commands on a conn and reads no reply, until the daemon stops reading.
func fillReplies(t *testing.T, p *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", p.listening())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	for id := 0; err == nil; id++ {
		require.NoError(t, conn.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
		_, err = fmt.Fprintf(conn, `{"command":"build-report","id":%d}`, id)
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	return conn
}

// The second signal ends the daemon without the rest of the drain.
func TestSecondSignalEndsDrain(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	fillReplies(t, p)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return !exists(filepath.Join(dir, "control.sock")) }, "the drain does not begin")
	select {
	case <-p.Ended:
		require.Fail(t, "the drain did not wait for the client that does not read")
	default:
	}
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "rudderpostd: second signal (terminated), ending at once\n")
}

// A drain that takes too long is ended, and the daemon reports it.
func TestDrainTimeoutClosesConns(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket+"[limits]\ndrain-timeout = \"200ms\"\nwrite-timeout = \"1h\"\n")
	fillReplies(t, p)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "rudderpostd: drain: 1 conns were closed before their commands were answered")
	requireSocketRemoved(t, dir)
}

// Accepted commands get their replies after any signal.
func TestAcceptedCommandsAreAnsweredAfterSignal(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket+"[limits]\ndrain-timeout = \"1h\"\nwrite-timeout = \"1h\"\n")
	conn := fillReplies(t, p)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	testkit.Eventually(t, func() bool { return !exists(filepath.Join(dir, "control.sock")) }, "the drain does not begin")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Timeout)))
	lines := bufio.NewReader(conn)
	done, refused := 0, map[wire.ID]bool{} // a refusal may be sent before the reply of an earlier accepted command
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			require.Empty(t, line, "a reply is incomplete")
			break
		}
		reply, err := wire.DecodeReply([]byte(line))
		require.NoError(t, err)
		if reply.Code == wire.CodeShuttingDown {
			refused[reply.ID] = true
			continue
		}
		require.Equal(t, wire.CodeSuccess, reply.Code, reply.Text)
		require.Equal(t, wire.IntID(int64(done)), reply.ID)
		done++
	}
	for id := range len(refused) {
		require.True(t, refused[wire.IntID(int64(done+id))], "%d was lost", done+id)
	}
	require.Greater(t, done, 16)
	require.Zero(t, p.wait())
	require.Equal(t, done, strings.Count(p.Err.String(), "command=build-report result=0")) // each command that ran got a reply
}

// A killed daemon leaves its files. The next daemon starts with them.
func TestDaemonStartsAfterKill(t *testing.T) {
	dir := testkit.ShortDir(t)
	p := startIn(t, dir, oneSocket)
	require.NoError(t, p.Process.Kill())
	p.wait()
	require.True(t, exists(filepath.Join(dir, "control.sock")))
	require.True(t, exists(filepath.Join(dir, "control.sock.lock")))
	_, err := net.Dial("unix", filepath.Join(dir, "control.sock"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	next := startIn(t, dir, oneSocket)
	require.Equal(t, wire.CodeSuccess, next.command("version-get", "").Code)
	require.NoError(t, next.Process.Signal(syscall.SIGTERM))
	require.Zero(t, next.wait())
	requireSocketRemoved(t, dir)
}

// A second daemon is refused, and the first one is not affected.
func TestSecondDaemonAtSameSocketIsRefused(t *testing.T) {
	dir := testkit.ShortDir(t)
	first := startIn(t, dir, oneSocket)
	second := start(t, dir, nil, "-c", "config.toml")
	require.Equal(t, 1, second.wait())
	require.Equal(t, "rudderpostd: listen 1 (unix): listen unix "+first.listening()+": address already in use: another daemon owns this socket; stop it, or choose another path\n",
		second.Err.String())
	require.Empty(t, second.Out.String())
	require.Equal(t, wire.CodeSuccess, first.command("version-get", "").Code)
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.Zero(t, first.wait())
	requireSocketRemoved(t, dir)
}

// If one listener cannot open, the start fails and the others are closed.
func TestFailedStartClosesOpenListeners(t *testing.T) {
	dir := testkit.ShortDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "taken"), []byte("precious"), 0o600))
	writeConfig(t, dir, oneSocket+"[[listen]]\ntransport = \"unix\"\npath = \"taken\"\n")
	p := start(t, dir, nil, "-c", "config.toml")
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "taken: it is a regular file; move it away, or choose another path")
	requireSocketRemoved(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, "taken"))
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// The state-dir and the directories above it are created with mode 0700. A relative path starts at the file's
// directory.
func TestStateDirIsCreatedPrivate(t *testing.T) {
	dir := testkit.ShortDir(t)
	writeConfig(t, dir, "state-dir = \"a/b\"\n[[listen]]\ntransport = \"unix\"\npath = \"a/b/control.sock\"\nmode = \"0660\"\n")
	p := start(t, os.TempDir(), nil, "-c", filepath.Join(dir, "config.toml"))
	require.Equal(t, filepath.Join(dir, "a", "b", "control.sock"), p.listening())
	for _, made := range []string{"a", "a/b"} {
		info, err := os.Lstat(filepath.Join(dir, made))
		require.NoError(t, err)
		require.Equal(t, fs.ModeDir|0o700, info.Mode())
	}
	info, err := os.Lstat(p.listening())
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o660, info.Mode())

	blocked := testkit.ShortDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(blocked, "run"), nil, 0o600))
	writeConfig(t, blocked, "state-dir = \"run\"\n"+oneSocket)
	p = start(t, blocked, nil, "-c", "config.toml")
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.Err.String(), "rudderpostd: state-dir: open "+blocked+"/run: not a directory")
}

// The log has the peer, the command and the result, but no arguments.
func TestLogHasCommandsWithoutArguments(t *testing.T) {
	const secret = "s3cr3t"
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			p := startIn(t, testkit.ShortDir(t), "log-level = \"debug\"\nlog-format = \""+format+"\"\n"+oneSocket)
			p.command("statistic-get", `{"name":"`+secret+`"}`)
			p.command("statistic-reset", `{"name":"`+secret+`"}`)
			p.command("statistic-get", `{"`+secret+`":1}`)
			p.command("log-level-set", `{"level":"`+secret+`"}`)
			p.command("shutdown", `{"exit-value":"`+secret+`"}`)
			p.command("no-such-command", `["`+secret+`"]`)
			p.exchange(`{"command":"version-get","arguments":{"` + secret + `":tru}}`)
			p.exchange(`{"command":"version-get","` + secret + `":1}`)
			p.exchange(`{"command":["` + secret + `"]}`)
			p.exchange(`{"arguments":"` + secret + `"}`)
			p.exchange(`x` + secret)
			require.Equal(t, wire.CodeSuccess, p.command("shutdown", `{"exit-value":3}`).Code)
			require.Equal(t, 3, p.wait())
			require.NotContains(t, p.Out.String()+p.Err.String(), secret)
			lines := strings.Split(strings.TrimSpace(p.Err.String()), "\n")
			require.Len(t, lines, 12, "%s", p.Err.String())
			for _, line := range lines {
				require.Contains(t, line, "uid:"+strconv.Itoa(os.Geteuid()))
				if format == "text" {
					require.Regexp(t, `level=INFO msg=command peer=uid:\d+ session=unix-\d+ command=\S+ result=\d+ duration=`, line)
					continue
				}
				var record struct {
					Msg, Level, Peer, Session, Command string
					Result                             *int
					Duration                           *int64
				}
				require.NoError(t, json.Unmarshal([]byte(line), &record), "%s", line)
				require.Equal(t, "command", record.Msg)
				require.NotNil(t, record.Result)
				require.NotNil(t, record.Duration)
				require.NotEmpty(t, record.Session)
			}
			require.Contains(t, p.Err.String(), "statistic-reset")
		})
	}
}

// The log level is that of the file, and can be changed while the daemon runs.
func TestLogLevelIsSetAndChanged(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), "log-level = \"error\"\n"+oneSocket)
	p.command("version-get", "")
	p.command("shutdown", "")
	require.Zero(t, p.wait())
	require.Empty(t, p.Err.String())

	p = startIn(t, testkit.ShortDir(t), "log-level = \"error\"\n"+oneSocket)
	require.Equal(t, wire.CodeSuccess, p.command("log-level-set", `{"level":"info"}`).Code)
	require.JSONEq(t, `{"level":"info"}`, string(p.command("log-level-get", "").Arguments.(wire.Value)))
	p.command("whoami", "")
	p.command("shutdown", "")
	require.Zero(t, p.wait())
	require.Contains(t, p.Err.String(), "whoami")
}

// The limits of the file are in force.
func TestLimitsOfFileAreInForce(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), oneSocket+"[limits]\nmax-frame = \"1KiB\"\nidle-timeout = \"1s\"\nmax-rate = 3\n")
	require.Contains(t, p.exchange(`{"command":"version-get","arguments":"`+strings.Repeat("x", 1024)+`"}`),
		"the command is longer than the 1024 bytes that are allowed (max-frame)")
	require.Contains(t, p.exchange(""), "Connection over control channel timed out")
	testkit.Eventually(t, func() bool { return p.command("version-get", "").Code == wire.CodeTooMany }, "the rate limit refuses no command")
}

// status-get and config-get return the settings of the file.
func TestStatusAndConfigGetShowFile(t *testing.T) {
	p := startIn(t, testkit.ShortDir(t), "state-dir = \"run\"\n"+oneSocket+"[limits]\nmax-frame = 65536\nidle-timeout = \"90s\"\n")
	var status struct {
		PID     int `json:"pid"`
		Sockets struct {
			Status string   `json:"status"`
			Open   []string `json:"open"`
		} `json:"sockets"`
	}
	require.NoError(t, p.command("status-get", "").Decode(&status))
	require.Equal(t, p.Process.Pid, status.PID)
	require.Equal(t, "ready", status.Sockets.Status)
	require.Equal(t, []string{"unix://" + p.listening()}, status.Sockets.Open)

	var config struct {
		Rudderpost map[string]any `json:"Rudderpost"`
		Hash       string         `json:"hash"`
	}
	require.NoError(t, p.command("config-get", "").Decode(&config))
	limits := config.Rudderpost["limits"].(map[string]any)
	require.Equal(t, "64KiB", limits["max-frame"])
	require.Equal(t, "1m30s", limits["idle-timeout"])
	require.Equal(t, "256MiB", limits["max-buffered"])
	require.Equal(t, []any{map[string]any{"transport": "unix", "path": "control.sock", "mode": "0600"}}, config.Rudderpost["listen"])
	require.Equal(t, filepath.Join(p.Dir, "run"), config.Rudderpost["state-dir"])
	require.Regexp(t, "^[0-9A-F]{64}$", config.Hash)
}
