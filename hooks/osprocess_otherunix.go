//go:build unix && !linux

package hooks

import "syscall"

// killWithDaemon does nothing here: the end of its stdin tells a process that the daemon has ended.
func killWithDaemon(*syscall.SysProcAttr) {}

// reap waits until the process has ended, and kills the other processes of its group. The kernel does not use the id
// of a group again while a process is in it.
func (p *unixProcess) reap() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signalLocked(syscall.SIGKILL)
	p.reaped = true
	return err
}
