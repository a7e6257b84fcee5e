//go:build linux || darwin || freebsd

package unix_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/transporttest"
	"github.com/rudderpost/rudderpost/transport/unix"
)

const maxFrame = 1 << 20

func conformance() transporttest.Config {
	us := []string{fmt.Sprintf("uid:%d", os.Geteuid())}
	return transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "unix",
		Subjects:         us,
		ListenerSubjects: us,
		Departs:          true,
		Raw: func(ctx context.Context, _ transporttest.Pair, l transport.Listener) (io.ReadWriteCloser, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
		},
	}
}

func TestConformance(t *testing.T) {
	transporttest.Test(t, func(t testing.TB) transporttest.Pair {
		at := &unix.Transport{Path: filepath.Join(t.TempDir(), "x.sock"), MaxFrame: maxFrame}
		return transporttest.Pair{Transport: at, Dialer: at}
	}, conformance())
}

// TestConformanceWithHalfClose has clients that can close the writing half of their socket.
func TestConformanceWithHalfClose(t *testing.T) {
	cfg := conformance()
	cfg.HalfClose = func(c transport.Conn) error { return c.(halfConn).sock.CloseWrite() }
	transporttest.Test(t, func(t testing.TB) transporttest.Pair {
		at := &unix.Transport{Path: filepath.Join(t.TempDir(), "x.sock"), MaxFrame: maxFrame}
		return transporttest.Pair{Transport: at, Dialer: halfDialer(at.Path)}
	}, cfg)
}

type halfConn struct {
	*transport.Stream
	sock *net.UnixConn
}

type halfDialer string

func (d halfDialer) Dial(ctx context.Context) (transport.Conn, error) {
	sock, err := unix.Connect(ctx, string(d))
	if err != nil {
		return nil, err
	}
	c, err := unix.NewConn(sock, sock.RemoteAddr(), transport.StreamConfig{
		MaxFrame: transport.ClientMaxFrame, Idle: -1,
	})
	if err != nil {
		return nil, err
	}
	return halfConn{c, sock}, nil
}
