//go:build unix && !linux

package hooks

import "syscall"

// dieWithUs does nothing here: a process notices by the end of its stdin that the daemon is gone.
func dieWithUs(*syscall.SysProcAttr) {}

// reap waits until the process has ended, and kills what it leaves behind in its group, whose number
// stays taken as long as there is somebody in it.
func (p *running) reap() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	p.gone = true
	return err
}
