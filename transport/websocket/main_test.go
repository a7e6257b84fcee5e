package websocket_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeout returns a context that ends after 20 s.
func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
	t.Cleanup(cancel)
	return ctx
}

// A subject is a credential with a name only.
type subject string

func (s subject) Subject() string { return string(s) }

// book is an Authenticator with the user ann and the token sesame.
type book struct{}

func (book) Authenticate(_ context.Context, claim transport.Claim) ([]transport.Credential, error) {
	switch {
	case claim.User == "ann" && claim.Password == "pass:word":
		return []transport.Credential{subject("user:ann")}, nil
	case claim.Token == "sesame":
		return []transport.Credential{subject("token:ci")}, nil
	case claim.Token == "tired":
		return nil, &transport.SlowDownError{After: 7 * time.Second}
	}
	return nil, transport.ErrWrongCredentials
}

// daemon returns a Transport for a listener on loopback without TLS.
func daemon() *websocket.Transport {
	return &websocket.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: book{}}
}

// ann returns a Transport that dials an address as the user ann.
func ann(addr net.Addr) *websocket.Transport {
	return &websocket.Transport{
		Address:     addr.String(),
		Credentials: transport.Claim{User: "ann", Password: "pass:word"},
	}
}

func listen(t testing.TB, at transport.Transport) transport.Listener {
	t.Helper()
	l, err := at.Listen(timeout(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func dial(t testing.TB, at transport.Dialer) transport.Conn {
	t.Helper()
	c, err := at.Dial(timeout(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func accept(t testing.TB, l transport.Listener) transport.Conn {
	t.Helper()
	c, err := l.Accept(timeout(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func send(t testing.TB, c transport.Conn, frames ...string) {
	t.Helper()
	var all [][]byte
	for _, f := range frames {
		all = append(all, []byte(f))
	}
	require.NoError(t, c.Send(timeout(t), all...))
}

func receive(t testing.TB, c transport.Conn) string {
	t.Helper()
	frame, err := c.Receive(timeout(t), nil)
	require.NoError(t, err)
	return string(frame)
}

// receiveError requires that Receive returns an error, and returns it.
func receiveError(t testing.TB, c transport.Conn) error {
	t.Helper()
	frame, err := c.Receive(timeout(t), nil)
	require.Error(t, err, "%s", frame)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	return err
}

// ended waits until a conn's Context ends, and returns the cause.
func ended(t testing.TB, c transport.Conn) error {
	t.Helper()
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-timeout(t).Done():
		t.Fatal("the conn's Context does not end")
		return nil
	}
}

func subjects(c transport.Conn) []string {
	var all []string
	for _, cred := range c.Peer().Creds {
		all = append(all, cred.Subject())
	}
	return all
}

// echo replies to each frame on each conn of l with the same frame, until l is closed. A frame without an id is the last
// one of its conn.
func echo(t testing.TB, l transport.Listener) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if errors.Is(err, net.ErrClosed) {
				return
			}
			serving.Go(func() { converse(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
}

// An identity has the certificates of a daemon and a client, both issued by one CA.
type identity struct {
	ops, daemon tlsconf.Issued
	server      *tlsconf.Server
	client      *tlsconf.Client
}

func newIdentity(t testing.TB) *identity {
	t.Helper()
	dir := t.TempDir()
	ca, err := tlsconf.CreateCA(dir+"/pki", "test")
	require.NoError(t, err)
	id := &identity{}
	id.daemon, err = ca.IssueServer("daemon", []string{"localhost", "127.0.0.1"}, 0)
	require.NoError(t, err)
	id.ops, err = ca.IssueClient("ops", "ops.example", 0)
	require.NoError(t, err)
	root, crl := dir+"/pki/"+tlsconf.CACert, dir+"/pki/"+tlsconf.CRLFile
	id.server = &tlsconf.Server{Cert: id.daemon.Cert, Key: id.daemon.Key, ClientCA: root, CRL: crl, CheckEvery: -1}
	id.client = &tlsconf.Client{CA: root, Cert: id.ops.Cert, Key: id.ops.Key}
	return id
}

// serve starts a server of net/http with a handler.
func serve(t testing.TB, h http.Handler) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: testkit.Timeout}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		serving.Wait()
	})
	return l.Addr()
}
