package netfd

import (
	"os"
	"syscall"
)

// newSet makes an epoll set.
func newSet() (*os.File, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that the runtime waits for it
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "epoll"), nil
}

// arm has the kernel report one event for a descriptor: bytes or a hang-up, also those that came before. The set
// contains a descriptor that was armed before.
func (p *Poller) arm(fd, slot int) (ctlErr error) {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(slot)}
	err := p.raw.Control(func(set uintptr) {
		ctlErr = syscall.EpollCtl(int(set), syscall.EPOLL_CTL_MOD, fd, &event)
		if ctlErr == syscall.ENOENT {
			ctlErr = syscall.EpollCtl(int(set), syscall.EPOLL_CTL_ADD, fd, &event)
		}
	})
	if err != nil {
		return err
	}
	return ctlErr
}

// wakeReady wakes the Conns for which the kernel reports an event. It returns false, so that the runtime waits until the
// set has more.
func (p *Poller) wakeReady(set uintptr) (done bool) {
	var events [128]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(int(set), events[:], 0)
		for i := range max(n, 0) {
			p.wakeSlot(int(events[i].Fd))
		}
		if n < len(events) && err != syscall.EINTR {
			return false
		}
	}
}
