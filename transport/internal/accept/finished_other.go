//go:build !unix

package accept

import "net"

// peerFinished returns false: without system calls on the descriptor it is not known.
func peerFinished(*net.TCPConn) bool { return false }
