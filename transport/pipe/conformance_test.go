package pipe_test

import (
	"context"
	"io"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

func TestConformance(t *testing.T) {
	const maxFrame = 2 << 20
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		p := &pipe.Transport{MaxFrame: maxFrame}
		return transporttest.Pair{Transport: p, Dialer: p}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "pipe",
		Subjects:         []string{"self"},
		ListenerSubjects: []string{"self"},
		Departs:          true,
		HalfClose:        func(c transport.Conn) error { return c.(*pipe.Conn).CloseWrite() },
		Raw: func(ctx context.Context, p transporttest.Pair, _ transport.Listener) (io.ReadWriteCloser, error) {
			return p.Transport.(*pipe.Transport).DialBytes(ctx)
		},
	})
}
