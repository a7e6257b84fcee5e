//go:build unix && !aix

package alltransports

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

// local returns the transports that not all systems have.
func (e *Env) local() []Case { return []Case{e.unix()} }

func (e *Env) unix() Case {
	return Case{
		Name: "unix", HalfClose: true,
		Listen: func(t testing.TB, l Limits) transport.Transport {
			dir := os.Getenv("RUDDERPOST_TEST_SOCKET_DIR") // for a process that is not a test
			if t != nil {
				var err error
				if dir, err = os.MkdirTemp("", "rp"); err != nil { // the name of t.TempDir may be too long
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
			}
			return &unix.Transport{Path: filepath.Join(dir, "s"), MaxFrame: l.MaxFrame, Idle: l.Idle, FrameTimeout: l.FrameTimeout}
		},
		Dial: func(addr net.Addr, _ Identity) transport.Dialer { return &unix.Transport{Path: addr.String()} },
		Raw: func(ctx context.Context, addr net.Addr, _ Identity) (Bytes, error) {
			c, err := connect("unix")(ctx, addr)
			if err != nil {
				return nil, err
			}
			return c.(*net.UnixConn), nil
		},
		Connect: connect("unix"),
	}
}
