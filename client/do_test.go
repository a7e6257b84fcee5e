package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestDo(t *testing.T) {
	place := daemon(t, mgr.Limits{}, echo)
	long := strings.Repeat("x", 1<<20)
	arguments, err := client.Arguments(long)
	require.NoError(t, err)
	reply, err := client.Do(t.Context(), place, wire.Request{Command: "echo", Arguments: arguments, ID: wire.IntID(7)})
	require.NoError(t, err)
	require.NoError(t, reply.Err())
	require.True(t, reply.ID.IsZero(), "it is the conn's last request")
	var got string
	require.NoError(t, reply.Decode(&got))
	require.Equal(t, long, got)

	reply, err = client.Do(t.Context(), place, wire.Request{Command: "sing"})
	require.NoError(t, err)
	require.EqualError(t, reply.Err(), "'sing' command not supported.")

	_, err = client.Do(t.Context(), place, wire.Request{Command: "echo", Arguments: wire.Value(`[`)})
	require.ErrorContains(t, err, "the request: ")
	_, err = client.Do(t.Context(), pipe.New(), wire.Request{Command: "echo"})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// TestDoCancelsTheCommandWhenItsContextEnds: Do closes the conn, and the daemon cancels the command.
func TestDoCancelsTheCommandWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		place := daemon(t, mgr.Limits{}, park(ended))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Do(ctx, place, wire.Request{Command: "park"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Error(t, <-ended)
	})
}

// TestDoReturnsErrorOfDaemonThatMisbehaves: the error names the fault.
func TestDoReturnsErrorOfDaemonThatMisbehaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for word, want := range map[string]string{
			``:                 "the daemon closed the conn without a reply: unexpected EOF",
			`{"result":`:       "the daemon closed the conn without a reply: unexpected EOF",
			`{"result":"0"}`:   "the reply has no integer 'result'",
			`{"result":0,,}`:   `the reply is no JSON: String expected in <wire>:0:13`,
			"HTTP/1.1 400 Bad": `a frame cannot start with the byte 'H' (offset 0)`,
		} {
			here, there := net.Pipe()
			go func() {
				_, _ = there.Read(make([]byte, 100))
				_, _ = io.WriteString(there, word)
				_ = there.Close()
			}()
			_, err := client.Do(t.Context(), dialer{transport.NewStream(here, transport.StreamConfig{})}, wire.Request{Command: "x"})
			require.EqualError(t, err, want, word)
		}
	})
}

// A dialer returns one conn.
type dialer struct{ conn transport.Conn }

func (d dialer) Dial(context.Context) (transport.Conn, error) { return d.conn, nil }
