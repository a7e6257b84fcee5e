// Package descriptors keeps some of the process's file descriptors for its owner, and for files: the audit, the log, the
// configuration and the pipes of hooks.
//
// The kernel gives a new descriptor the lowest number that is free (POSIX, 2.14). So the number of a connection that was
// just accepted is also a lower bound of how many descriptors are open in the process, whatever has opened them. A
// listener asks with InReserve for each connection that it accepts. The last descriptors are the reserve: only connections
// of the owner may stay there, and no more of them than OwnerShare.
package descriptors

import (
	"net"
	"syscall"
	"time"
)

// reserveOf returns how many of limit descriptors are kept: an eighth, at least 24 and at most 128, but never more than
// half of them.
func reserveOf(limit int) int { return min(max(limit/8, 24), 128, limit/2) }

// OwnerShare returns how many connections of the owner may be in the reserve at a time. The rest of it is for files.
func OwnerShare() int { return reserveOf(Limit()) / 2 }

// InReserve reports whether the descriptor of a connection, when it has just been accepted, is in the reserve. It is false
// for a connection that has no descriptor, and where the operating system has no limit.
func InReserve(c any) bool {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	limit := Limit()
	in := false
	_ = raw.Control(func(fd uintptr) { in = int(fd) >= limit-reserveOf(limit) })
	return in
}

// pause is how long a listener waits after it has refused a connection in the reserve, so that refusals do not keep a
// processor busy.
const pause = 5 * time.Millisecond

// Refuse closes a connection in the reserve at once, without the usual wait for what the peer still sends, and blocks for
// 5 ms.
func Refuse(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
	time.Sleep(pause)
}

// A Listener refuses connections in the reserve.
type Listener struct{ net.Listener }

// Accept implements net.Listener.
func (l Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !InReserve(c) {
			return c, err
		}
		Refuse(c)
	}
}
