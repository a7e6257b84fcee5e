//go:build unix && !race

package transport

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// With the race detector a sync.Pool forgets on purpose, so that this counts only without.
func TestNoAllocations(t *testing.T) {
	a, b := sockets(t)
	from, to := NewStream(a, StreamConfig{}), NewStream(b, StreamConfig{})
	defer func() { _, _ = from.Close(), to.Close() }()
	frame := []byte(`{"command":"` + strings.Repeat("x", 46) + `"}`)
	require.Len(t, frame, 60)
	dst := make([]byte, 0, 64)
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": t.Context()} {
		t.Run(name, func(t *testing.T) {
			var sender, receiver Conn = from, to
			allocs := testing.AllocsPerRun(1000, func() {
				if err := sender.Send(ctx, frame); err != nil {
					t.Fatal(err)
				}
				got, err := receiver.Receive(ctx, dst[:0])
				if err != nil || len(got) != len(frame) {
					t.Fatal(string(got), err)
				}
			})
			require.Zero(t, allocs)
		})
	}
}
