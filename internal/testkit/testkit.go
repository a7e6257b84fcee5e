// Package testkit has what the tests of several packages need: time limits, programs that a test needs or builds,
// processes, folders and ports.
package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Timeout is the longest time that a test waits for an event that must happen. No test waits for Timeout to pass, so a
// slow machine makes a test slow and does not make it fail.
const Timeout = 30 * time.Second

// pollInterval is the time between two checks of a condition.
const pollInterval = 2 * time.Millisecond

// Require is the environment variable that forbids skipping. If it is set and not empty, SkipOrFail fails the test. The
// script .ci/run sets it.
const Require = "RUDDERPOST_REQUIRE"

// SkipOrFail ends a test that cannot run on this machine. It skips the test, or fails it if Require is set.
func SkipOrFail(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Require) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedProgram returns the path of a program of another project: the first in PATH, or the one in /usr/sbin. debian is
// the Debian package that has it. Without the program the test is skipped, or fails (SkipOrFail).
func NeedProgram(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
		SkipOrFail(t, "%s is not installed (Debian: %s)", name, debian)
	}
	return path
}

// NeedRoot skips or fails (SkipOrFail) a test that needs the rights of root, for instance to start a process as another
// user.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		SkipOrFail(t, "this test needs root")
	}
}

// Eventually checks a condition until it is true. After Timeout the test fails; format and args say what is missing. It
// calls condition on the goroutine of the caller, so condition may end the test.
func Eventually(t testing.TB, condition func() bool, format string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(Timeout); ; time.Sleep(pollInterval) {
		if condition() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Timeout, fmt.Sprintf(format, args...))
		}
	}
}

// ShortDir returns a new directory whose name is short enough for the path of a UNIX socket in it. Every user may enter
// the directory. It is removed when the test ends.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Exists reports whether there is a file at path. It does not follow a symbolic link.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
