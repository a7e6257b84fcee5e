package hooks_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// misbehaviors are the modes of a hook, with the code of the reply to its caller and the last error of the hook. An
// empty lastError: the hook keeps running.
var misbehaviors = []struct {
	mode      string
	code      wire.Code
	lastError string
}{
	{"sleep", wire.CodeTimeout, ""},
	{"hang", wire.CodeTimeout, ""},
	{"stop", wire.CodeTimeout, ""},
	{"flood", wire.CodeShuttingDown, "it wrote what is no frame to stdout, which is for nothing else: frame is longer than 65536 bytes"},
	{"flood-blanks", wire.CodeShuttingDown, "more than 65536 bytes of white space and comments before a frame"},
	{"flood-comment", wire.CodeShuttingDown, "more than 65536 bytes of white space and comments before a frame"},
	{"flood-logs", wire.CodeShuttingDown, "it floods the log"},
	{"flood-stderr", wire.CodeTimeout, ""},
	{"flood-calls", wire.CodeShuttingDown, "it floods the daemon with calls that are refused"},
	{"flood-calls-unread", wire.CodeShuttingDown, "it floods the daemon with calls that are refused"},
	{"wrong-id", wire.CodeShuttingDown, "it answered the call 4711, which it does not have"},
	{"twice", wire.CodeSuccess, "it answered the call 1, which it does not have"},
	{"no-json", wire.CodeShuttingDown, "it wrote a frame that is none of the protocol: "},
	{"duplicate-key", wire.CodeShuttingDown, "it wrote a frame that is none of the protocol: "},
	{"introduce-again", wire.CodeShuttingDown, "it introduced itself, or refused, for a second time"},
	{"exit", wire.CodeShuttingDown, "it ended with exit status 5"},
	{"fork", wire.CodeShuttingDown, "it ended with exit status 0; the last line of its stderr: left "},
	{"fork-away", wire.CodeShuttingDown, "it ended with exit status 0; the last line of its stderr: left "},
}

func misbehavingHook(t testing.TB, mode string, code wire.Code) hooks.Config {
	cfg := process(t, mode, mode)
	cfg.Timeout, cfg.MaxOutput = testkit.Timeout, 64<<10
	if code == wire.CodeTimeout {
		cfg.Timeout = 200 * time.Millisecond
	}
	return cfg
}

// Every caller of a misbehaving hook gets a reply. Meanwhile native commands and another hook reply at once.
func TestMisbehavingHookDelaysNoOtherCommand(t *testing.T) {
	for _, each := range misbehaviors {
		t.Run(each.mode, func(t *testing.T) {
			t.Parallel()
			d := start(t, func(s *hooks.Set) { s.StopTimeout = 20 * time.Millisecond })
			require.NoError(t, d.load(process(t, "good", "echo"), misbehavingHook(t, each.mode, each.code)))
			c, other := d.as("admin"), d.as("monitor")
			answered := make(chan wire.Reply, 1)
			go func() { answered <- ask(t, c, each.mode, "") }()
			for waiting := true; waiting; {
				require.Equal(t, `"alive"`, text(ask(t, other, "status-get", "")))
				require.Zero(t, ask(t, other, "good", "").Code)
				select {
				case r := <-answered:
					require.Equal(t, each.code, r.Code, r.Text)
					waiting = false
				default:
				}
			}
			if each.lastError != "" {
				d.eventually(func() bool { return contains(d.status(each.mode).LastError, each.lastError) }, each.lastError)
				d.eventually(func() bool { return d.status(each.mode).State == "running" }, "it is not started again")
			}
			d.requireNoneLeft()
		})
	}
}

var leftBehind = regexp.MustCompile(`left (\d+)`)

// requireNoneLeft requires that the daemon has killed the processes that a hook has started, except one that has left
// the process group. It kills that one.
func (d *daemon) requireNoneLeft() {
	for _, found := range leftBehind.FindAllStringSubmatch(d.log.String(), -1) {
		pid, err := strconv.Atoi(found[1])
		require.NoError(d.t, err)
		if contains(d.log.String(), "hook=fork-away") {
			killProcess(pid)
			continue
		}
		d.eventually(func() bool { return !isAlive(pid) }, "a process of its group is left")
	}
}

// isAlive reports whether a process exists and is no zombie.
func isAlive(pid int) bool {
	if !processExists(pid) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// The error names each hook that cannot be loaded, and nothing else changes.
func TestHookThatCannotBeLoadedIsNamed(t *testing.T) {
	d := start(t, func(s *hooks.Set) { s.StartTimeout = testkit.Timeout })
	require.NoError(t, d.load(process(t, "good", "echo")))
	pid := d.status("good").PID
	quick := start(t, func(s *hooks.Set) { s.StartTimeout = 20 * time.Millisecond })
	require.ErrorContains(t, quick.load(process(t, "silent", "silent")), "hook 'silent': it has not introduced itself: it took longer than 20ms to load")
	for mode, want := range map[string]string{
		"refuse":               "hook 'bad': it refuses: I want a folder",
		"exit-at-once":         "hook 'bad': it ended with exit status 7; the last line of its stderr: no such module",
		"ten-thousand":         "hook 'bad': it introduces 10000 commands, and 256 are the most",
		"chatter":              "hook 'bad': it wrote what is no frame to stdout, which is for nothing else: a frame cannot start with the byte 's'",
		"take":                 "command 'status-get' of 'bad': Handler for command 'status-get' is already installed. Only an override by name covers it.",
		"invalid-introduction": "hook 'bad': command 'x': its access is 'all'; it must be read, write or admin\ncommand 'y': its arguments: schema, at '': the keyword 'oneOf' is not supported",
		"unprintable-introduction": "hook 'bad': command 'x': its summary \"a\\x1b[2J\" has a character that cannot be printed\n" +
			"command 'y': its arguments: schema, at '/properties': the name \"a\\u202eb\" has a character that cannot be printed\n" +
			"command 'z': what it returns: schema, at '/enum': \"a\\nb\" has a character that cannot be printed",
	} {
		err := d.load(process(t, "bad", mode), process(t, "good", "echo"))
		require.ErrorContains(t, err, want, mode)
		require.Equal(t, pid, d.status("good").PID)
		require.Zero(t, d.ask("good", "").Code)
	}
	cfg := process(t, "bad", "echo")
	cfg.Exec[0] = "/no/such/program"
	require.ErrorContains(t, d.load(cfg), "hook 'bad': stat /no/such/program: no such file or directory")
	cfg.Exec[0] = "/"
	require.ErrorContains(t, d.load(cfg), "hook 'bad': exec: '/' must not be run: /: it is a folder and no regular file")
	for want, script := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"permission denied; it is not executable (chmod +x)":                          {"#!/bin/sh\n", 0o644},
		"no such file or directory; the interpreter in its first line does not exist": {"#!/bin/sh\r\n", 0o755},
		"exec format error; a script's first line names its interpreter":              {"echo hello\n", 0o755},
	} {
		cfg.Exec[0] = filepath.Join(t.TempDir(), "script")
		require.NoError(t, os.WriteFile(cfg.Exec[0], []byte(script.text), script.mode))
		require.ErrorContains(t, d.load(cfg), "hook 'bad': fork/exec "+cfg.Exec[0]+": "+want)
	}
	cfg = process(t, "bad", "echo")
	cfg.Dir = "/no/such/folder"
	require.ErrorContains(t, d.load(cfg), "hook 'bad': dir: stat /no/such/folder: no such file or directory")
}

// After loads, failures, restarts and a stop there are as many descriptors and children as before. TestMain checks the
// goroutines.
func TestNoDescriptorsOrChildrenLeak(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc here")
	}
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(open)
	}
	d := start(t, nil)
	require.NoError(t, d.load(process(t, "warm", "echo")))
	require.NoError(t, d.load())
	d.eventually(func() bool { return len(children(t)) == 0 }, "a child is left")
	before := count()
	for range 5 {
		require.NoError(t, d.load(process(t, "good", "echo"), process(t, "exit", "exit")))
		require.Equal(t, wire.CodeShuttingDown, d.ask("exit", "").Code)
		require.Error(t, d.load(process(t, "bad", "refuse"), process(t, "other", "echo")))
		require.NoError(t, d.load())
	}
	d.eventually(func() bool { return len(children(t)) == 0 }, "a child is left")
	d.eventually(func() bool { return count() <= before }, "a descriptor is left")
}

// children returns the process ids of this process's children.
func children(t testing.TB) []string {
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	var all []string
	for _, task := range tasks {
		list, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		all = append(all, strings.Fields(string(list))...)
	}
	return all
}

// BenchmarkProcess measures a call of a command of a process.
func BenchmarkProcess(b *testing.B) {
	d := start(b, nil)
	cfg := process(b, "result", "result")
	require.NoError(b, d.load(cfg))
	c := d.as("admin")
	run := func(command, arguments string) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if r := ask(b, c, command, arguments); r.Code != 0 {
					b.Fatal(r.Text)
				}
			}
		}
	}
	b.Run("native", run("status-get", ""))
	b.Run("process", run("result", "0"))
}

// BenchmarkMisbehavingHooks measures the 99th percentile of status-get, without and with hooks that misbehave all the
// time. The hooks run on the second processor; daemon and client are for the first:
//
//	taskset -c 0 go test -run - -bench Torture -benchtime 3s ./hooks
func BenchmarkMisbehavingHooks(b *testing.B) {
	d := start(b, func(s *hooks.Set) { s.StopTimeout = 20 * time.Millisecond })
	configs := []hooks.Config{}
	for _, each := range misbehaviors {
		cfg := misbehavingHook(b, each.mode, each.code)
		if taskset, err := exec.LookPath("taskset"); err == nil {
			cfg.Exec = append([]string{taskset, "-c", "1"}, cfg.Exec...) // of the second processor
		}
		configs = append(configs, cfg)
	}
	require.NoError(b, d.load(configs...))
	c := d.as("monitor")
	b.Run("quiet", func(b *testing.B) { percentile(b, c) })
	stop := make(chan struct{})
	ended := make(chan struct{}, len(misbehaviors))
	for _, each := range misbehaviors {
		go func() {
			defer func() { ended <- struct{}{} }()
			c := d.as("admin")
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					ask(b, c, each.mode, "")
				}
			}
		}()
	}
	b.Run("tortured", func(b *testing.B) { percentile(b, c) })
	close(stop)
	for range misbehaviors {
		<-ended
	}
	for _, found := range leftBehind.FindAllStringSubmatch(d.log.String(), -1) {
		pid, _ := strconv.Atoi(found[1])
		killProcess(pid)
	}
}

func percentile(b *testing.B, c *client.Client) {
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		ask(b, c, "status-get", "")
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(all[len(all)*50/100].Microseconds()), "p50-µs")
}
