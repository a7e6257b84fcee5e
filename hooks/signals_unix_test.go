//go:build unix

package hooks_test

import (
	"os"
	"os/exec"
	"syscall"
)

// stopSelf stops this process, as SIGSTOP does.
func stopSelf() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// inNewSession makes cmd start in a session, and so in a process group, of its own.
func inNewSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// processExists reports whether there is a process with this id; a zombie is one.
func processExists(pid int) bool { return syscall.Kill(pid, 0) == nil }

func killProcess(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
