//go:build linux

package unix_test

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/unix"
)

func pair(t *testing.T) (client *net.UnixConn, server transport.Conn) {
	t.Helper()
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client = dialPlain(t, path, "")
	t.Cleanup(func() { _ = client.Close() })
	return client, accept(t, l)
}

func TestHalfClosedPeerReceivesReplies(t *testing.T) {
	client, server := pair(t)
	_, err := client.Write([]byte(`{"a":1}`))
	require.NoError(t, err)
	require.NoError(t, client.CloseWrite())

	require.Equal(t, `{"a":1}`, receive(t, server))
	_, err = server.Receive(timeout(t), nil)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, server.Context().Err())

	send(t, server, `{"b":2}`)
	require.NoError(t, server.Context().Err())
	require.NoError(t, server.Close())
	all, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "{\"b\":2}\n", string(all))
}

func TestContextEndsWhenPeerCloses(t *testing.T) {
	client, server := pair(t)
	_, err := client.Write([]byte(`{"a":1}`))
	require.NoError(t, err)
	require.NoError(t, client.Close())

	require.Equal(t, `{"a":1}`, receive(t, server))
	_, err = server.Receive(timeout(t), nil)
	require.ErrorIs(t, err, io.EOF)
	require.Error(t, server.Context().Err())
	require.Error(t, server.Send(timeout(t), []byte(`{}`)))
}

// A peer that has sent bytes which were not read receives the reply and then the end of the stream, not an error.
func TestPeerWithUnreadBytesReceivesReplyAndEOF(t *testing.T) {
	client, server := pair(t)
	_, err := client.Write([]byte(`{"a":1}{"never":"read"}` + strings.Repeat(" ", 50_000)))
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, receive(t, server))
	_, err = client.Write([]byte(strings.Repeat("x", 50_000)))
	require.NoError(t, err)
	send(t, server, `{"b":2}`)
	require.NoError(t, server.Close())

	all, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, "{\"b\":2}\n", string(all))
}

func TestLimitsOfAcceptedConn(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path, MaxFrame: 10, Idle: time.Millisecond})
	client := dialPlain(t, path, "")
	defer func() { require.NoError(t, client.Close()) }()
	_, err := accept(t, l).Receive(timeout(t), nil)
	requireReason(t, transport.TimedOut, err)

	other := dialPlain(t, path, "")
	defer func() { require.NoError(t, other.Close()) }()
	_, err = other.Write([]byte(`{"a":"0123456789"}`))
	require.NoError(t, err)
	_, err = accept(t, l).Receive(timeout(t), nil)
	requireReason(t, transport.TooLarge, err)
}

func requireReason(t *testing.T, want transport.Reason, err error) {
	t.Helper()
	var bad *transport.FrameError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, want, bad.Reason)
}

// A dialed conn receives longer frames than an accepted one, and waits for the first frame without a limit.
func TestLimitsOfDialedConn(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client, err := (&unix.Transport{Path: path, Idle: time.Nanosecond}).Dial(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	server := accept(t, l)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = client.Receive(ctx, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	long := `["` + strings.Repeat("x", transport.DefaultMaxFrame) + `"]`
	sent := make(chan error, 1)
	go func() { sent <- server.Send(context.Background(), []byte(long)) }()
	frame := receive(t, client)
	require.Len(t, frame, len(long))
	require.NoError(t, <-sent)
}

// Accept returns an error when no descriptor is left. The client waits in the kernel's queue.
func TestAcceptReturnsErrorWithoutDescriptors(t *testing.T) {
	path := socketPath(t)
	l := listen(t, &unix.Transport{Path: path})
	client := dial(t, path)

	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}))
	_, err := l.Accept(timeout(t))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, syscall.EMFILE)
	require.ErrorAs(t, err, new(*net.OpError))

	send(t, accept(t, l), `{"a":1}`)
	require.Equal(t, `{"a":1}`, receive(t, client))
}
