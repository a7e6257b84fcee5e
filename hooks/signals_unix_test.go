//go:build unix

package hooks_test

import (
	"os"
	"os/exec"
	"syscall"
)

// stopSelf stops this process with SIGSTOP.
func stopSelf() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }

// inNewSession starts cmd in a new session, and so in a new process group.
func inNewSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// processExists reports whether a process with this id exists; also a zombie does.
func processExists(pid int) bool { return syscall.Kill(pid, 0) == nil }

func killProcess(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
