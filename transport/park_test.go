//go:build linux

package transport

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// polling returns a Poller that runs until the test ends.
func polling(t *testing.T) *netfd.Poller {
	t.Helper()
	p, err := netfd.NewPoller()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return p
}

func wantWoken(t *testing.T, woken chan struct{}) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(10 * time.Second):
		t.Fatal("the conn is not woken")
	}
}

func TestConnWithBufferedBytesIsNotParked(t *testing.T) {
	p := polling(t)
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{})
	defer s.Close()
	woken := make(chan struct{}, 10)
	wake := func() { woken <- struct{}{} }
	require.True(t, s.Fast().Park(p, wake))
	say(t, peer, "[4][5]")
	wantWoken(t, woken)
	require.Equal(t, "[4]", receive(t, s))
	require.False(t, s.Fast().Park(p, wake), "there is more to receive")
	require.Equal(t, "[5]", receive(t, s))
	require.True(t, s.Fast().Park(p, wake))
	require.Empty(t, woken)
}

// The frame of the last callback need not be taken, and a parked conn is not registered with the context with which it
// was read.
func TestParkTakesTheLastFrameAndReleasesTheContext(t *testing.T) {
	p := polling(t)
	peer, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	defer s.Close()
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx := &registering{Context: cancellable}
	r := startLoop(t, s, ctx, func(string) bool { return false })
	say(t, peer, "[0]")
	require.Equal(t, netfd.Stopped, <-r.result)
	require.EqualValues(t, 1, ctx.waiting.Load())
	woken := make(chan struct{}, 2)
	require.True(t, s.Fast().Park(p, func() { woken <- struct{}{} }))
	require.Zero(t, ctx.waiting.Load())
	say(t, peer, "[1]")
	wantWoken(t, woken)
	require.Equal(t, "[1]", receive(t, s))
}

func TestUnparkAndCloseWakeAParkedConn(t *testing.T) {
	p := polling(t)
	_, b := sockets(t)
	s := NewStream(b, StreamConfig{Idle: -1})
	woken := make(chan struct{}, 10)
	wake := func() { woken <- struct{}{} }
	s.Fast().Unpark(p)
	require.True(t, s.Fast().Park(p, wake))
	s.Fast().Unpark(p)
	require.Len(t, woken, 1)
	s.Fast().Unpark(p)
	require.Len(t, woken, 1)
	require.True(t, s.Fast().Park(p, wake))
	require.NoError(t, s.Close())
	require.Len(t, woken, 2)
	require.False(t, s.Fast().Park(p, wake))
	require.Len(t, woken, 2)
}

func TestConnWithoutADescriptorIsNotParked(t *testing.T) {
	p := polling(t)
	peer, b := net.Pipe()
	s := NewStream(b, StreamConfig{})
	require.False(t, s.Fast().Park(p, func() {}))
	s.Fast().Unpark(p)
	require.NoError(t, s.Close())
	require.NoError(t, peer.Close())
}
