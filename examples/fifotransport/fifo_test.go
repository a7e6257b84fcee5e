//go:build linux

package fifo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/transporttest"
)

const maxFrame = 1 << 20

// The transport passes the conformance suite, with every claim of a Config that this kind of wire can make.
func TestConformance(t *testing.T) {
	us := []string{fmt.Sprintf("uid:%d", os.Geteuid())}
	transporttest.Test(t, func(t testing.TB) transporttest.Pair {
		at := &Transport{Dir: newDir(t, 0o700), MaxFrame: maxFrame}
		return transporttest.Pair{Transport: at, Dialer: halfDialer{at}}
	}, transporttest.Config{
		MaxFrame:         maxFrame,
		Kind:             "fifo",
		Subjects:         us,
		ListenerSubjects: us,
		Departs:          true,
		HalfClose:        func(c transport.Conn) error { return c.(halfConn).s.CloseWrite() },
		Raw: func(ctx context.Context, p transporttest.Pair, _ transport.Listener) (io.ReadWriteCloser, error) {
			return p.Transport.(*Transport).dial(ctx)
		},
		Silent: func(_ context.Context, _ transporttest.Pair, l transport.Listener) (io.Closer, error) {
			connect, err := os.OpenFile(filepath.Join(l.Addr().String(), connectName), os.O_WRONLY, 0)
			if err == nil {
				_, err = connect.WriteString("half a name")
			}
			return connect, err
		},
	})
}

// A halfDialer dials conns with a CloseWrite.
type halfDialer struct{ *Transport }

type halfConn struct {
	transport.Conn
	s *stream
}

func (d halfDialer) Dial(ctx context.Context) (transport.Conn, error) {
	s, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	return halfConn{s.conn(addr(d.Dir), transport.StreamConfig{MaxFrame: transport.ClientMaxFrame, Idle: -1}), s}, nil
}

// CloseWrite closes the FIFO that the client writes.
func (s *stream) CloseWrite() error { return s.out.Close() }

// newDir returns a directory for a transport. Every user can reach it.
func newDir(t testing.TB, mode uint32) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "fifo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	dir := filepath.Join(parent, "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, m := range map[string]os.FileMode{parent: 0o755, dir: os.FileMode(mode & 0o777)} {
		if mode&0o1000 != 0 && path == dir {
			m |= os.ModeSticky
		}
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
