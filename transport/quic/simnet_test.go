package quic_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// A network connects a daemon and a client in virtual time, with delay, jitter and loss.
type network struct {
	simnet.PerfectRouter
	l      transport.Listener
	client *quic.Transport

	mu    sync.Mutex
	rand  *rand.Rand
	loss  float64                 // of packets, in each direction
	seen  func(p simnet.Packet)   // is reported of each packet
	nat   map[string]*net.UDPAddr // what the daemon sees instead of an address
	inner map[string]*net.UDPAddr // and back
	dead  map[string]bool         // addresses that packets get lost on the dialer to
}

var (
	daemonAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1).To4(), Port: 7443}
	clientAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2).To4(), Port: 9000}
	movedAddr  = &net.UDPAddr{IP: net.IPv4(10, 0, 9, 9).To4(), Port: 1234}
)

// SendPacket implements simnet.Router.
func (n *network) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	if to, ok := n.nat[p.From.String()]; ok {
		p.From = to
	}
	if n.seen != nil {
		n.seen(p)
	}
	lost := n.rand.Float64() < n.loss || n.dead[p.To.String()]
	if to, ok := n.inner[p.To.String()]; ok {
		p.To = to
	}
	n.mu.Unlock()
	if lost {
		return nil
	}
	_ = n.PerfectRouter.SendPacket(p) // to an address without an endpoint: the packet is lost
	return nil
}

func (n *network) with(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// move changes the client's address. Packets to the old address are lost.
func (n *network) move() {
	n.with(func() {
		n.nat[clientAddr.String()] = movedAddr
		n.inner[movedAddr.String()] = clientAddr
		n.dead[clientAddr.String()] = true
	})
}

// linkSettings returns the settings of the network at an endpoint. Jitter changes the order of packets.
func linkSettings(delay, jitter time.Duration) simnet.NodeBiDiLinkSettings {
	return simnet.NodeBiDiLinkSettings{LatencyFunc: func(simnet.Packet) time.Duration {
		return delay + time.Duration(rand.Float64()*float64(jitter))
	}}
}

// overBadNetwork runs a test on a network. change may change the daemon's configuration.
func overBadNetwork(t *testing.T, delay, jitter time.Duration, change func(*quic.Transport), test func(t *testing.T, n *network)) {
	t.Helper()
	pki(t)
	synctest.Test(t, func(t *testing.T) {
		n := &network{
			rand: rand.New(rand.NewPCG(1, 2)), nat: map[string]*net.UDPAddr{},
			inner: map[string]*net.UDPAddr{}, dead: map[string]bool{},
		}
		sim := &simnet.Simnet{Router: n}
		daemonSock := sim.NewEndpoint(daemonAddr, linkSettings(delay, jitter))
		clientSock := sim.NewEndpoint(clientAddr, linkSettings(delay, jitter))
		require.NoError(t, sim.Start())
		at := place(t)
		at.PacketConn = daemonSock
		if change != nil {
			change(at)
		}
		var err error
		n.l, err = at.Listen(t.Context())
		require.NoError(t, err)
		n.client = to(t, daemonAddr)
		n.client.SetSocket(func() (net.PacketConn, error) { return reopened{clientSock}, nil })
		t.Cleanup(func() { // after the conns of the test
			assert.NoError(t, n.l.Close())
			time.Sleep(2 * time.Minute) // virtual: whatever is left of connections ends
			synctest.Wait()
			assert.Zero(t, quic.Counted(n.l))
			assert.Zero(t, quic.Links(n.client))
			_ = clientSock.Close()
			_ = daemonSock.Close()
			assert.NoError(t, sim.Close())
		})
		test(t, n)
	})
}

// A reopened socket can be used again after Close, for one connection after the other.
type reopened struct{ *simnet.SimConn }

func (reopened) Close() error { return nil }
