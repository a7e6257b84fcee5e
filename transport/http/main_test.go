package http_test

import (
	"cmp"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if pki != "" {
			_ = os.RemoveAll(pki)
		}
		os.Exit(status)
	}))
}

// ann is an Authenticator with one user and one token.
type ann struct{}

func (ann) Authenticate(_ context.Context, c transport.Claim) ([]transport.Credential, error) {
	switch {
	case c.User == "ann" && c.Password == "secret", c.Token == "token":
		return []transport.Credential{subject("user:ann")}, nil
	case c.User == "slow":
		return nil, &transport.SlowDownError{After: 1500 * time.Millisecond}
	}
	return nil, transport.ErrWrongCredentials
}

type subject string

func (s subject) Subject() string { return string(s) }

var credentials = transport.Claim{User: "ann", Password: "secret"}

var pki string // where makePKI has made files

// makePKI makes a private CA with certificates of a server and a client, once.
var makePKI = sync.OnceValues(func() (dir string, err error) {
	if pki, err = os.MkdirTemp("", "rudderpost"); err != nil {
		return "", err
	}
	dir = filepath.Join(pki, "ca")
	ca, err := tlsconf.CreateCA(dir, "test")
	if err == nil {
		_, err = ca.IssueServer("server", []string{"localhost", "127.0.0.1"}, time.Hour)
	}
	if err == nil {
		_, err = ca.IssueClient("client", "ops.example", time.Hour)
	}
	return dir, err
})

func serverTLS(t testing.TB) *tlsconf.Server {
	t.Helper()
	dir, err := makePKI()
	require.NoError(t, err)
	return &tlsconf.Server{
		Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key"),
		ClientCA: filepath.Join(dir, tlsconf.CACert),
	}
}

func clientTLS(t testing.TB) *tlsconf.Client {
	t.Helper()
	dir, err := makePKI()
	require.NoError(t, err)
	return &tlsconf.Client{
		CA:   filepath.Join(dir, tlsconf.CACert),
		Cert: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client.key"),
	}
}

// listen opens a listener on a free port. Without TLS it is plain HTTP.
func listen(t testing.TB, tr *http.Transport) transport.Listener {
	t.Helper()
	tr.Address = cmp.Or(tr.Address, "127.0.0.1:0")
	tr.Insecure = tr.TLS == nil
	if tr.Authenticator == nil && tr.TLS == nil {
		tr.Authenticator = ann{}
	}
	l, err := tr.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// echo replies on each conn of a listener with the frame that it has received.
func echo(t testing.TB, l transport.Listener) {
	t.Helper()
	serve(t, l, func(c transport.Conn) {
		defer c.Close()
		if frame, err := c.Receive(context.Background(), nil); err == nil {
			_ = c.Send(context.Background(), frame)
		}
	})
}

// serve runs f for each conn of a listener until the test ends.
func serve(t testing.TB, l transport.Listener, f func(transport.Conn)) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			serving.Go(func() { f(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
}

func dialTCP(t testing.TB, l transport.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(testkit.Timeout)))
	return c.(*net.TCPConn)
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
}
