package quic_test

import (
	"context"
	"io"
	"net"
	"testing"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

const maxFrame = 1 << 20

func conformance(t testing.TB) transporttest.Config {
	pki(t)
	return transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "quic",
		Subjects:         []string{"cert:ops.example", tlsconf.FingerprintOf(files.client).Subject()},
		ListenerSubjects: []string{tlsconf.FingerprintOf(files.server).Subject()},
		Departs:          true,
		HalfClose:        func(c transport.Conn) error { return quic.CloseWrite(c) },
		Raw: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.ReadWriteCloser, error) {
			return dialRaw(ctx, t, l.Addr())
		},
		Silent: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.Closer, error) {
			c, err := new(net.Dialer).DialContext(ctx, "udp", l.Addr().String())
			if err == nil {
				_, err = c.Write(make([]byte, 1200))
			}
			return c, err
		},
	}
}

func TestConformance(t *testing.T) {
	transporttest.Test(t, func(t testing.TB) transporttest.Pair {
		at := place(t)
		at.MaxFrame = maxFrame
		return transporttest.Pair{Transport: at, At: func(addr net.Addr) transport.Dialer {
			return quic.HalfCloser(to(t, addr))
		}}
	}, conformance(t))
}

// A rawStream is a stream of a client that uses quic-go only, with a connection of its own.
type rawStream struct {
	*quicgo.Stream
	conn *quicgo.Conn
}

func dialRawConn(ctx context.Context, t testing.TB, addr net.Addr) (*quicgo.Conn, error) {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return nil, err
	}
	config, err := client(t, "ops.example").Config(host, quic.Protocol)
	if err != nil {
		return nil, err
	}
	return quicgo.DialAddr(ctx, addr.String(), config, nil)
}

func dialRaw(ctx context.Context, t testing.TB, addr net.Addr) (*rawStream, error) {
	conn, err := dialRawConn(ctx, t, addr)
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	return &rawStream{stream, conn}, nil
}

func (s *rawStream) CloseWrite() error { return s.Stream.Close() }

func (s *rawStream) Close() error { return s.conn.CloseWithError(0, "") }
