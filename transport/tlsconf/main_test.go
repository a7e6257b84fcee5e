package tlsconf_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tlsconf"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCA returns a CA in a folder of its own.
func newCA(t testing.TB, name string) (*tlsconf.CA, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	ca, err := tlsconf.CreateCA(dir, name)
	require.NoError(t, err)
	return ca, dir
}

// An outcome is the result of one conn.
type outcome struct {
	server, client     error // of the handshake, and of one byte in both directions
	atServer, atClient tls.ConnectionState
}

func (o outcome) ok(t testing.TB) outcome {
	t.Helper()
	require.NoError(t, o.server)
	require.NoError(t, o.client)
	return o
}

// connect makes one conn over loopback and returns its result. A byte is sent in both directions: with TLS 1.3 a
// client learns only by reading that it was refused, and receives its session ticket by reading.
func connect(t testing.TB, server, client *tls.Config) (o outcome) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			o.server = err
			return
		}
		conn := tls.Server(raw, server)
		defer conn.Close()
		o.server = talk(conn, false)
		o.atServer = conn.ConnectionState()
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	conn := tls.Client(raw, client)
	o.client = talk(conn, true)
	o.atClient = conn.ConnectionState()
	_ = conn.Close()
	<-done
	return o
}

func talk(conn *tls.Conn, first bool) error {
	if err := conn.SetDeadline(time.Now().Add(testkit.Timeout)); err != nil {
		return err
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	one := []byte{'x'}
	write := func() error { _, err := conn.Write(one); return err }
	read := func() error { _, err := io.ReadFull(conn, one); return err }
	if first {
		return errors.Join(write(), read())
	}
	return errors.Join(read(), write())
}
