package pipe

import "github.com/rudderpost/rudderpost/transport"

// Conn is one end of a connection in memory. Dial and Accept return it as a transport.Conn.
type Conn struct {
	*transport.Stream
	end *End
}

// CloseWrite closes the writing half: Receive of the peer returns io.EOF after the frames that were sent. The peer can
// still send. The error is net.ErrClosed after Close.
func (c *Conn) CloseWrite() error { return c.end.CloseWrite() }
