//go:build unix

package accept

import (
	"net"
	"syscall"
)

// peerFinished discards the received bytes without blocking, at most 64 KiB. It reports whether nothing more can arrive:
// the peer has closed its side, or the socket is broken. Then the socket can be closed at once.
func peerFinished(tcp *net.TCPConn) (finished bool) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	var discarded [4 << 10]byte
	_ = raw.Control(func(fd uintptr) {
		for range 16 {
			n, err := syscall.Read(int(fd), discarded[:])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				finished = err != syscall.EAGAIN
				return
			}
		}
	})
	return finished
}
