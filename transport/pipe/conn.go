package pipe

import "github.com/rudderpost/rudderpost/transport"

// Conn is one end of a conversation in memory. Dial and Accept return it as a transport.Conn.
type Conn struct {
	*transport.Stream
	end *End
}

// CloseWrite says the last word: the peer's Receive returns io.EOF, and it can still be heard.
func (c *Conn) CloseWrite() error { return c.end.CloseWrite() }
