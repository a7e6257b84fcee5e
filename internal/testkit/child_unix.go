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

// A Child is a process that a test has started.
type Child struct {
	*exec.Cmd
	Out, Err Output        // its standard output and standard error until now
	Ended    chan struct{} // closed when the process has ended and its output is complete
}

// Start starts cmd. These fields of cmd get a default if they are nil: Stdout and Stderr are &p.Out and &p.Err, and Env is
// the environment of the test with GORACE set so that a program with the race detector exits at once. When the test ends,
// the process is killed, with its process group if cmd.SysProcAttr asks for a group of its own. If the test has failed,
// the end of the output is logged.
func Start(t testing.TB, cmd *exec.Cmd) *Child {
	t.Helper()
	p := &Child{Cmd: cmd, Ended: make(chan struct{})}
	if p.Stdout == nil {
		p.Stdout = &p.Out
	}
	if p.Stderr == nil {
		p.Stderr = &p.Err
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
		if p.SysProcAttr != nil && p.SysProcAttr.Setpgid {
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
func (p *Child) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.Ended:
	case <-time.After(Timeout):
		t.Fatalf("%s does not end\n%s%s", p.Args, p.Out.String(), p.Err.String())
	}
	return p.ProcessState.ExitCode()
}

// Listening waits until a daemon has printed that it listens on a UNIX socket, and returns the path.
func (p *Child) Listening(t testing.TB) string {
	t.Helper()
	return p.waitForOutput(t, regexp.MustCompile(`listening on unix://([^,]*),`))
}

// ListeningOn waits until a daemon has printed that it listens on scheme://ADDRESS, and returns ADDRESS, which is on
// 127.0.0.1. With port 0 in the configuration it has the port that the kernel chose.
func (p *Child) ListeningOn(t testing.TB, scheme string) string {
	t.Helper()
	return p.waitForOutput(t, regexp.MustCompile(`listening on `+scheme+`://(127\.0\.0\.1:\d+)\b`))
}

// waitForOutput waits until the standard output matches pattern, and returns the first group. The test fails if the
// process ends before that.
func (p *Child) waitForOutput(t testing.TB, pattern *regexp.Regexp) (found string) {
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

// StartProgram starts a program in a directory and in a process group of its own (Start). If change is not nil, it may
// change the command before it starts.
func StartProgram(t testing.TB, dir string, change func(*exec.Cmd), name string, args ...string) *Child {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=1")
	if change != nil {
		change(cmd)
	}
	return Start(t, cmd)
}
