package mgr

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// A namedConn is a conn that has only a peer.
type namedConn struct {
	transport.Conn
	name string
}

func (g namedConn) Peer() transport.Peer { return transport.Peer{Creds: []transport.Credential{g}} }
func (g namedConn) Subject() string      { return "guest:" + g.name }

// The manager forgets peers without conns, though there is a rate limit; but not before their rate limit is full again.
func TestPeersWithoutConnsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&Options{Limits: Limits{MaxRate: 2}})
		s := m.newListener(&ListenerConfig{})
		visit := func(name string) *peer {
			c, why := m.addConn(s, namedConn{name: name})
			require.Nil(t, why)
			m.removeConn(c)
			return c.peer
		}
		for i := range 10_000 {
			visit(strconv.Itoa(i))
			time.Sleep(time.Millisecond)
			require.LessOrEqual(t, len(m.peers), 3*firstSweep)
		}
		greedy := visit("greedy")
		for range 2 {
			require.True(t, greedy.mayCall(time.Now()))
		}
		for i := range 5_000 {
			visit("again" + strconv.Itoa(i))
		}
		require.False(t, visit("greedy").mayCall(time.Now()), "it has been forgotten too soon")
	})
}
