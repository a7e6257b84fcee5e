package tcp

import (
	"context"

	"github.com/rudderpost/rudderpost/transport"
)

// Half dials conns whose writing half can be closed.
type Half Transport

type half struct {
	transport.Conn
	closeWrite func() error
}

func (h *Half) Dial(ctx context.Context) (transport.Conn, error) {
	t := (*Transport)(h)
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	return half{t.conn(c, transport.StreamConfig{Idle: -1, MaxFrame: transport.ClientMaxFrame}), c.CloseWrite}, nil
}

// CloseWrite closes the writing half of a conn that Half has dialed.
func CloseWrite(c transport.Conn) error { return c.(half).closeWrite() }
