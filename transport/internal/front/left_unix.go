//go:build unix

package front

import (
	"net"
	"syscall"
)

// left reports whether the peer has said its last word and nothing of what it said is unread, so that
// the socket can be closed at once. What is there is read, as far as that takes no waiting.
func left(tcp *net.TCPConn) (left bool) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	var waste [4 << 10]byte
	_ = raw.Control(func(fd uintptr) {
		for range 16 {
			n, err := syscall.Read(int(fd), waste[:])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				left = err != syscall.EAGAIN
				return
			}
		}
	})
	return left
}
