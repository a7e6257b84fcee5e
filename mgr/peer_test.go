package mgr

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// A guest is a conn of which only its peer counts.
type guest struct {
	transport.Conn
	name string
}

func (g guest) Peer() transport.Peer { return transport.Peer{Creds: []transport.Credential{g}} }
func (g guest) Subject() string      { return "guest:" + g.name }

// Peers that have left are forgotten, though there is a rate; but not before they could make as many
// calls as if they had never been here.
func TestPeersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(&Options{Limits: Limits{MaxRate: 2}})
		s := m.newListener(&ListenerConfig{})
		visit := func(name string) *peer {
			c, why := m.join(s, guest{name: name})
			require.Nil(t, why)
			m.leave(c)
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
