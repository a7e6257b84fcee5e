//go:build unix && !aix

package unix

import (
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// TempSocketName is for the test of the files that a killed daemon leaves.
var TempSocketName = tempSocketName

// Connect and NewConn are the parts of Dial. A test uses them for a client that closes one half of its socket.
var Connect = connect

func NewConn(sock *net.UnixConn, addr net.Addr, cfg transport.StreamConfig) (*transport.Stream, error) {
	return newConn(sock, addr, cfg, noID)
}
