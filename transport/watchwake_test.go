//go:build linux

package transport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWakeWakesTheConnThatIsWatchedOnce(t *testing.T) {
	w, _ := watching(t)
	peer, s, woken := watched(t, w)
	_, _, other := watched(t, w)
	w.Wake(s)
	wantWoken(t, woken)
	w.Wake(s)
	require.Empty(t, woken, "it is not watched any more")
	require.Empty(t, other)
	say(t, peer, "[1]")
	require.Equal(t, "[1]", receive(t, s))
	watch(t, w, s, woken)
	say(t, peer, "[2]")
	wantWoken(t, woken)
	require.Equal(t, "[2]", receive(t, s))
}

func TestWakeIgnoresAConnThatIsNotWatched(t *testing.T) {
	w, _ := watching(t)
	_, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	w.Wake(s)
	require.NoError(t, s.Close())
	one, other := net.Pipe()
	s = NewStream(one, StreamConfig{})
	w.Wake(s)
	require.NoError(t, s.Close())
	require.NoError(t, other.Close())
}
