package quic_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(runChild(dir))
	}
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if files.dir != "" {
			_ = os.RemoveAll(files.dir)
		}
		os.Exit(status)
	}))
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func listen(t testing.TB, at *quic.Transport) transport.Listener {
	t.Helper()
	l, err := at.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// to returns a Transport that dials a listener.
func to(t testing.TB, addr net.Addr) *quic.Transport {
	t.Helper()
	return &quic.Transport{Address: addr.String(), Client: client(t, "ops.example")}
}

func dial(t testing.TB, at *quic.Transport) transport.Conn {
	t.Helper()
	c, err := at.Dial(within(t, testkit.Timeout))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func accept(t testing.TB, l transport.Listener) transport.Conn {
	t.Helper()
	c, err := l.Accept(within(t, testkit.Timeout))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func send(t testing.TB, c transport.Conn, frames ...string) {
	t.Helper()
	for _, frame := range frames {
		require.NoError(t, c.Send(within(t, testkit.Timeout), []byte(frame)))
	}
}

func receive(t testing.TB, c transport.Conn) string {
	t.Helper()
	frame, err := c.Receive(within(t, testkit.Timeout), nil)
	require.NoError(t, err)
	return string(frame)
}

// pair returns both ends of a conn on which a frame was sent.
func pair(t testing.TB, l transport.Listener, at *quic.Transport) (dialed, accepted transport.Conn) {
	t.Helper()
	dialed = dial(t, at)
	send(t, dialed, `{"hello":1}`)
	accepted = accept(t, l)
	require.Equal(t, `{"hello":1}`, receive(t, accepted))
	return dialed, accepted
}

// serveEcho replies to each frame with the same frame, until the listener is closed and all conns have ended.
func serveEcho(l transport.Listener) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return ended
}

func echo(c transport.Conn) {
	defer c.Close()
	for {
		frame, err := c.Receive(context.Background(), nil)
		if err != nil || c.Send(context.Background(), frame) != nil {
			return
		}
	}
}
