//go:build !unix

package hooks_test

import (
	"os"
	"os/exec"
)

// stopSelf is never called here, since hooks that are processes need UNIX.
func stopSelf() {}

func inNewSession(*exec.Cmd) {}

func processExists(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Release() == nil
}

func killProcess(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
