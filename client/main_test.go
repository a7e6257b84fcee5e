package client_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon runs a manager until the test ends, and returns its dialer.
func daemon(t *testing.T, limits mgr.Limits, commands ...mgr.Command) *pipe.Transport {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Limits: limits})
	require.NoError(t, m.Register(commands...))
	place := pipe.New()
	_, err := m.Open(t.Context(), place)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return place
}

// dial returns a Client until the test ends.
func dial(t *testing.T, place transport.Dialer) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), place)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// script plays the daemon's part of a conn, for a daemon with a fault.
func script(t *testing.T) (*client.Client, transport.Conn) {
	t.Helper()
	place := pipe.New()
	l, err := place.Listen(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	c := dial(t, place)
	conn, err := l.Accept(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return c, conn
}
