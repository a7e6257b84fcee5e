package hooks

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithUs makes the kernel kill the process when the daemon is gone, however that happens.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// reap waits until the process has ended, and kills what it leaves behind in its group before its number
// can become another's.
func (p *running) reap() error {
	for errors.Is(unix.Waitid(unix.P_PID, p.Pid(), nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	p.gone = true
	return p.cmd.Wait()
}
