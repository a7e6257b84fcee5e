//go:build unix && !aix

package unix

import (
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

// TempName is for the test of what a killed daemon leaves.
var TempName = tempName

// Connect and NewConn are what Dial is made of, for a client that also closes one half of its socket.
var Connect = connect

func NewConn(sock *net.UnixConn, addr net.Addr, cfg transport.StreamConfig) (*transport.Stream, error) {
	return newConn(sock, addr, cfg, none)
}
