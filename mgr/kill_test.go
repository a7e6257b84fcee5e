package mgr_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// revocable wraps a transport so that its conns have a credential that can be revoked. With fast, the conns embed the
// *transport.Stream of the transport, if it has one, and so keep its fast path.
type revocable struct {
	transport.Transport
	cred revocableCred
	fast bool
}

func (r *revocable) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := r.Transport.Listen(ctx)
	return revocableListener{l, r}, err
}

type revocableListener struct {
	transport.Listener
	r *revocable
}

func (l revocableListener) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	if stream, ok := conn.(*transport.Stream); ok && l.r.fast {
		return revocableStream{stream, l.r.cred}, nil
	}
	return revocableConn{conn, l.r.cred}, nil
}

type revocableConn struct {
	transport.Conn
	cred revocableCred
}

func (c revocableConn) Peer() transport.Peer { return withCredential(c.Conn.Peer(), c.cred) }

type revocableStream struct {
	*transport.Stream
	cred revocableCred
}

func (c revocableStream) Peer() transport.Peer { return withCredential(c.Stream.Peer(), c.cred) }

func withCredential(peer transport.Peer, cred revocableCred) transport.Peer {
	peer.Creds = []transport.Credential{cred}
	return peer
}

// On each transport, commands of a session that is killed, or whose credential is revoked, are answered before the conn
// is closed: one off the loop, one that runs on the loop, and one that waits for the loop.
func TestKilledOrRevokedSessionAnswersItsCommandsOnEveryTransport(t *testing.T) {
	env := alltransports.New(t)
	ends := []struct {
		name   string
		result int
		code   string
		end    func(*daemon, *atomic.Bool)
	}{
		{name: "killed", result: 403, code: "session-killed", end: func(d *daemon, _ *atomic.Bool) {
			for _, s := range d.Sessions() {
				d.CloseSession(s.ID)
			}
		}},
		{name: "revoked", result: 401, code: "revoked", end: func(_ *daemon, taken *atomic.Bool) { taken.Store(true) }},
	}
	for _, tc := range env.Cases() {
		for _, end := range ends {
			for _, fast := range []bool{false, true} {
				name := tc.Name + "/" + end.name
				if fast {
					name += "/fast"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel() // a revoked credential is noticed within a second
					var taken atomic.Bool
					started, cancelled := make(chan struct{}, 1), make(chan error, 1)
					s := newTestCommands()
					d := start(t, &mgr.Options{Authorizer: allowAll{}}, append(s.commands(),
						mgr.Async("wait", "Wait until cancelled.", mgr.Write, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
							started <- struct{}{}
							<-ctx.Done()
							cancelled <- context.Cause(ctx)
							return mgr.None{}, nil
						}))...)
					t.Cleanup(func() { // needed only if the test has failed
						select {
						case s.release <- struct{}{}:
						default:
						}
					})
					l, err := d.Open(t.Context(), &revocable{tc.Listen(t, alltransports.Limits{}), revocableCred{"user:ann", &taken}, fast})
					require.NoError(t, err)
					running := func(n int) {
						t.Helper()
						require.Eventually(t, func() bool {
							calls := 0
							for _, s := range d.Sessions() {
								calls += len(s.Running)
							}
							return calls == n
						}, testkit.Timeout, time.Millisecond)
					}
					requests := []string{`{"command":"hold","id":1}`, `{"command":"count","id":2}`, `{"command":"wait","id":3}`}
					var clients []conversationClient
					for i, request := range requests {
						if i == 0 || tc.OneShot {
							clients = append(clients, dialTransport(t, tc, l.Addr(), env.Client))
						}
						clients[len(clients)-1].send(request + "\n")
						running(i + 1)
					}
					require.Eventually(t, func() bool { return !d.Sessions()[0].Running[0].Waiting }, testkit.Timeout, time.Millisecond)
					<-started
					end.end(d, &taken)
					got := map[any]reply{}
					for i := range requests {
						var r reply
						require.NoError(t, json.Unmarshal([]byte(clients[min(i, len(clients)-1)].receiveLine()), &r))
						got[r.ID] = r
					}
					for _, id := range []any{1.0, 2.0, 3.0} {
						require.Equal(t, end.result, got[id].Result, got[id].Text)
						require.Equal(t, details(end.code), got[id].Error)
					}
					for _, c := range clients {
						c.requireEOF()
						c.close()
					}
					require.ErrorContains(t, <-cancelled, got[1.0].Text)
					s.release <- struct{}{}
					require.Eventually(t, func() bool { return len(d.Sessions()) == 0 }, testkit.Timeout, time.Millisecond)
					require.Zero(t, s.count, "a command that waited has run")
				})
			}
		}
	}
}

// The conn of a killed session is closed within a second, though its peer does not read the last replies.
func TestKilledSessionOfAPeerThatDoesNotReadIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, append(newTestCommands().commands(), bigReply(32<<20))...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"big","id":1}{"command":"park","id":2}`)
		synctest.Wait()
		require.Equal(t, 1, d.CloseSession(d.Sessions()[0].ID))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, d.Sessions())
	})
}
