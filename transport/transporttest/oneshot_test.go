package transporttest_test

import (
	"context"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

// A requester speaks over a pipe as HTTP does: a conn is one request and its reply.
type requester struct{ *pipe.Transport }

func (r requester) Dial(ctx context.Context) (transport.Conn, error) {
	c, err := r.Transport.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return request{c.(*pipe.Conn)}, nil
}

type request struct{ *pipe.Conn }

func (r request) Send(ctx context.Context, frames ...[]byte) error {
	if err := r.Conn.Send(ctx, frames...); err != nil {
		return err
	}
	return r.CloseWrite()
}

func TestOneShot(t *testing.T) {
	const maxFrame = 256 << 10
	transporttest.Test(t, func(testing.TB) transporttest.Pair {
		p := requester{&pipe.Transport{MaxFrame: maxFrame}}
		return transporttest.Pair{Transport: p, Dialer: p}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Subjects:         []string{"self"},
		ListenerSubjects: []string{"self"},
		OneShot:          true,
	})
}
