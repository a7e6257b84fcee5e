//go:build unix

package testkit

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that a test has started.
type Process struct {
	*exec.Cmd
	Out, Err Output        // what it has written to its standard output and its standard error
	Ended    chan struct{} // closed when the process has ended and its output is complete
}

// Start starts cmd. It sets the standard output and the standard error; the other fields of cmd stay as the caller has set
// them, with these defaults: the process has a process group of its own, and the environment of the test with GORACE set
// so that a program with the race detector exits at once. When the test ends, the process (with its group, if it has one)
// is killed, and the end of its output is logged if the test has failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.Out, &p.Err
	if p.SysProcAttr == nil {
		p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	if p.WaitDelay == 0 {
		p.WaitDelay = 2 * Timeout // later than Wait fails
	}
	if p.Env == nil {
		p.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=1")
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Ended)
		_ = p.Cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		if p.SysProcAttr.Setpgid {
			_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		}
		<-p.Ended
		if t.Failed() {
			text := p.Out.String() + p.Err.String()
			t.Logf("the last output of %s:\n%s", strings.Join(p.Args, " "), text[max(0, len(text)-4000):])
		}
	})
	return p
}

// Wait waits until the process has ended and returns its exit status. After Timeout the test fails.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.Ended:
	case <-time.After(Timeout):
		t.Fatalf("%s does not end\n%s%s", p.Args, p.Out.String(), p.Err.String())
	}
	return p.ProcessState.ExitCode()
}

// Listening waits until a daemon has printed that it listens on a UNIX socket, and returns the path.
func (p *Process) Listening(t testing.TB) string {
	t.Helper()
	return p.waitForOutput(t, regexp.MustCompile(`listening on unix://([^,]*),`))
}

// ListeningOn waits until a daemon has printed that it listens on scheme://ADDRESS, and returns ADDRESS, which is on
// 127.0.0.1. With port 0 in the configuration it has the port that the kernel chose.
func (p *Process) ListeningOn(t testing.TB, scheme string) string {
	t.Helper()
	return p.waitForOutput(t, regexp.MustCompile(`listening on `+scheme+`://(127\.0\.0\.1:\d+)\b`))
}

// waitForOutput waits until the standard output matches pattern, and returns the first group. The test fails if the
// process ends before that.
func (p *Process) waitForOutput(t testing.TB, pattern *regexp.Regexp) (found string) {
	t.Helper()
	Eventually(t, func() bool {
		select {
		case <-p.Ended:
			t.Fatalf("%s has ended\n%s%s", p.Args, p.Out.String(), p.Err.String())
		default:
		}
		match := pattern.FindStringSubmatch(p.Out.String())
		if match != nil {
			found = match[1]
		}
		return match != nil
	}, "%s does not print %s", p.Args, pattern)
	return found
}
