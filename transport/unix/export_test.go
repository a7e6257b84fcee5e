//go:build unix && !aix

package unix

// TempName is for the test of what a killed daemon leaves.
var TempName = tempName

// Connect and NewConn are what Dial is made of, for a client that also closes one half of its socket.
var (
	Connect = connect
	NewConn = newConn
)
