package mgr_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

func TestSessionsListsConnsAndRunningCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		require.Empty(t, d.Sessions())
		ann := d.dial()
		ann.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
		ann.receive()
		time.Sleep(time.Minute)
		bob := d.dial()
		bob.send(`{"command":"park","id":1}`)
		synctest.Wait()
		time.Sleep(time.Second)
		bob.send(`{"command":"hold","id":2}{"command":"count","id":3}`)
		synctest.Wait()
		time.Sleep(time.Second)

		all := d.Sessions()
		require.Len(t, all, 2)
		require.Equal(t, "self", all[0].Peer.String())
		require.Equal(t, "pipe", all[0].Listener)
		require.True(t, all[0].Since.Equal(begin))
		require.EqualValues(t, 1, all[0].Commands)
		require.Empty(t, all[0].Running)
		require.True(t, all[1].Since.Equal(begin.Add(time.Minute)))
		require.Zero(t, all[1].Commands)
		at := begin.Add(time.Minute)
		for i, r := range []mgr.Running{{"park", at, false}, {"hold", at.Add(time.Second), false}, {"count", at.Add(time.Second), true}} {
			require.Equal(t, r.Command, all[1].Running[i].Command)
			require.True(t, r.Since.Equal(all[1].Running[i].Since))
			require.Equal(t, r.Waiting, all[1].Running[i].Waiting)
		}
		s.release <- struct{}{}
		ann.close()
		bob.close()
		synctest.Wait()
		require.Empty(t, d.Sessions())
	})
}

// Queued commands of a closed session never run, and the session gets no more conns.
func TestCloseSessionDropsQueuedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		other := d.dial()
		other.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		c := d.dial()
		c.send(`{"command":"count","id":1}{"command":"park","id":2}{"command":"count"}`) // the last one would run after a mere departure
		synctest.Wait()
		killed := d.Sessions()[1].ID
		require.Equal(t, 1, d.CloseSession(killed))
		require.Zero(t, d.CloseSession("pipe-4711"))
		synctest.Wait()
		s.release <- struct{}{}
		require.Zero(t, other.receive().Result)
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
		require.Zero(t, s.count)
		require.Zero(t, d.CloseSession(killed), "it is gone")
		c.close()
		other.close()
	})
}

// Over QUIC and HTTP the connection of a closed session could open another conn; it is refused.
func TestClosedSessionGetsNoMoreConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		shared := d.openWith(mgr.ListenerConfig{}, &credTransport{creds: []transport.Credential{subject("self")}, session: "quic-1"})
		for range 2 {
			c := shared.dial()
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			require.Zero(t, c.receive().Result)
		}
		sessions := d.Sessions()
		require.Len(t, sessions, 1)
		require.Equal(t, 2, sessions[0].Conns)
		require.EqualValues(t, 2, sessions[0].Commands)
		require.Equal(t, 2, d.CloseSession("quic-1"))
		synctest.Wait()
		require.Empty(t, d.Sessions())
		again := shared.dial()
		require.Equal(t, reply{Result: 403, Text: "the session was closed by an administrator; open a new connection", Error: details("session-killed")}, again.receive())
		again.requireEOF()
	})
}
