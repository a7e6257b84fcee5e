package mgr_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"

	"github.com/stretchr/testify/require"
)

// Daemons are ended at random moments while clients send commands, with each kind of loop. Every command that ran was
// answered, and every command with a successful reply ran.
func TestDrainAtRandomMomentLosesNoReply(t *testing.T) {
	const rounds = 300
	for _, name := range []string{"run", "select", "post-only"} {
		t.Run(name, func(t *testing.T) {
			for range rounds / 3 {
				for _, how := range drivers() {
					if how.name == name {
						testDrain(t, how)
					}
				}
			}
		})
	}
}

func testDrain(t *testing.T, how driver) {
	var ran int // belongs to the loop
	var beside atomic.Int64
	m := mgr.New(&mgr.Options{Loop: how.loop, Logger: quietLog})
	require.NoError(t, m.Register(
		mgr.Func("on", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			ran++
			return mgr.None{}, nil
		}),
		mgr.Async("beside", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			beside.Add(1)
			return mgr.None{}, mgr.OnLoop(ctx, func() error {
				ran++
				return nil
			})
		})))
	tr := pipe.New()
	_, err := m.Open(t.Context(), tr)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- how.run(ctx, m) }()

	var succeeded atomic.Int64
	var clients sync.WaitGroup
	var conns []net.Conn
	for range 3 {
		conn, err := tr.DialBytes(t.Context())
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for i, conn := range conns {
		clients.Go(func() {
			defer conn.Close()
			clients.Go(func() {
				sendCommands(conn, 40+rand.IntN(64))
				if i == 0 {
					stop()
				}
				sendCommands(conn, 32)
			})
			text, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			replies := strings.ReplaceAll(string(text), `"result": `, `"result":`) // Kea's spelling has the space
			succeeded.Add(int64(strings.Count(replies, `"result":0`)))
			if bad := strings.Count(replies, "\n") - strings.Count(replies, `"result":0`) - strings.Count(replies, `"result":503`); bad != 0 {
				t.Errorf("%d unexpected replies in %s", bad, text)
			}
		})
	}
	require.NoError(t, <-ended)
	clients.Wait()
	require.EqualValues(t, ran, succeeded.Load(), "commands that ran, and those that were answered with success")
	require.Zero(t, m.Count())
}

// sendCommands sends commands until the conn is closed.
func sendCommands(conn net.Conn, most int) {
	for i := range most {
		name := "on"
		if i%4 == 3 {
			name = "beside"
		}
		if _, err := fmt.Fprintf(conn, `{"command":"%s","id":"%d-%d"}`, name, most, i); err != nil {
			return
		}
	}
}
