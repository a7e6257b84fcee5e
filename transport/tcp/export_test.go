package tcp

import (
	"context"

	"github.com/rudderpost/rudderpost/transport"
)

// Half dials conns that can close one half.
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

// CloseWrite says the last word.
func CloseWrite(c transport.Conn) error { return c.(half).closeWrite() }
