package hooks

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// killWithDaemon makes the kernel kill the process when the daemon has ended in any way.
func killWithDaemon(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// reap waits until the process has ended. It kills the other processes of its group before the kernel can use the
// process id again.
func (p *unixProcess) reap() error {
	for errors.Is(unix.Waitid(unix.P_PID, p.Pid(), nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signalLocked(syscall.SIGKILL)
	p.reaped = true
	return p.cmd.Wait()
}
