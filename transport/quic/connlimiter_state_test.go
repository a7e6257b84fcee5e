package quic

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConnRecordTransitions walks the table of recordState, with the counts of connections.
func TestConnRecordTransitions(t *testing.T) {
	source := netip.MustParsePrefix("192.0.2.7/32")
	var closing sync.WaitGroup
	add := func(t *testing.T, g *connLimiter) *connRecord {
		t.Helper()
		r, err := g.add(source)
		require.NoError(t, err)
		require.Equal(t, counted, r.state)
		return r
	}
	start := func(g *connLimiter, r *connRecord) {
		closing.Add(1)
		g.handshakeStarted(r, closing.Done)
	}
	check := func(t *testing.T, g *connLimiter, conns, handshakes int) {
		t.Helper()
		require.Equal(t, conns, g.conns)
		require.Equal(t, conns, g.sources[source])
		require.Equal(t, handshakes, g.handshakes.Len())
	}
	limiter := func() *connLimiter { return (&Transport{MaxConns: 2, MaxPerSource: 2}).newConnLimiter() }

	t.Run("counted to established to ended", func(t *testing.T) {
		g := limiter()
		r := add(t, g)
		require.Equal(t, established, g.handshakeDone(r))
		check(t, g, 1, 0)
		require.Equal(t, established, g.remove(r))
		check(t, g, 0, 0)
	})
	t.Run("counted to ended", func(t *testing.T) {
		g := limiter()
		r := add(t, g)
		require.Equal(t, counted, g.remove(r))
		check(t, g, 0, 0)
		g.handshakeStarted(r, func() { t.Error("closed") })
		require.Equal(t, ended, g.handshakeDone(r))
		check(t, g, 0, 0)
	})
	t.Run("counted to handshaking to established", func(t *testing.T) {
		g := limiter()
		r := add(t, g)
		g.handshakeStarted(r, func() { t.Error("closed") })
		require.Equal(t, handshaking, r.state)
		check(t, g, 1, 1)
		require.Equal(t, established, g.handshakeDone(r))
		check(t, g, 1, 0)
	})
	t.Run("handshaking to ended", func(t *testing.T) {
		g := limiter()
		r := add(t, g)
		g.handshakeStarted(r, func() { t.Error("closed") })
		require.Equal(t, handshaking, g.remove(r))
		check(t, g, 0, 0)
	})
	t.Run("handshaking to evicted to ended", func(t *testing.T) {
		g := limiter()
		oldest, other := add(t, g), add(t, g)
		start(g, oldest)
		g.handshakeDone(other)
		add(t, g)
		closing.Wait() // closed by the limiter
		require.Equal(t, evicted, oldest.state)
		check(t, g, 2, 0)
		require.Equal(t, evicted, g.handshakeDone(oldest))
		require.Equal(t, evicted, g.remove(oldest))
		check(t, g, 2, 0)
	})
	t.Run("established is never evicted", func(t *testing.T) {
		g := limiter()
		g.handshakeDone(add(t, g))
		g.handshakeDone(add(t, g))
		_, err := g.add(source)
		require.ErrorIs(t, err, errTooManyFromSource)
		check(t, g, 2, 0)
	})
}
