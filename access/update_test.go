package access_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// daemon runs a manager with a policy. ask sends a command on one conn, which stays open until the end of the test.
func daemon(t *testing.T, p *access.Policy, commands ...mgr.Command) (m *mgr.CommandMgr, ask func(command, arguments string) wire.Reply) {
	t.Helper()
	m = mgr.New(&mgr.Options{Authorizer: p, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, m.Register(commands...))
	ctx, stop := context.WithCancel(t.Context())
	listener := pipe.New()
	_, err := m.Open(ctx, listener)
	require.NoError(t, err)
	_, err = m.Open(ctx, &mgr.ListenerConfig{Transport: pipe.New(), Name: "low", MaxAccess: mgr.Read})
	require.NoError(t, err)
	go func() { _ = m.Run(ctx) }()
	conn, err := listener.Dial(ctx)
	require.NoError(t, err)
	c := client.New(conn)
	t.Cleanup(func() {
		_ = c.Close()
		stop()
		<-m.Done()
	})
	return m, func(command, arguments string) wire.Reply {
		t.Helper()
		request := wire.Request{Command: command}
		if arguments != "" {
			request.Arguments = wire.Value(arguments)
		}
		reply, err := c.Do(ctx, request)
		require.NoError(t, err)
		return reply
	}
}

func nop(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }

// The next call on an open conn is decided by the new policy. A policy that is not valid changes nothing.
func TestUpdateCountsForOpenConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, access.Options{})
		_, ask := daemon(t, p, mgr.Func("zone-add", "", mgr.Write, nop, mgr.AnyArguments()))
		require.Zero(t, ask("zone-add", "").Code)
		dns := access.Role{Name: "dns", Allow: []string{"read", "zone-*"}, Arguments: []access.ArgumentRule{{Commands: []string{"*"}, Pointer: "/zone", Values: []any{"example"}}}}
		require.NoError(t, p.Update(access.Options{Roles: []access.Role{dns}, Principals: []access.Principal{{Subject: "self", Role: "dns"}}}))
		require.Equal(t, wire.CodeForbidden, ask("zone-add", `{"zone":"x"}`).Code)
		require.Zero(t, ask("zone-add", `{"zone":"example"}`).Code)

		for _, o := range []access.Options{
			{Principals: []access.Principal{{Subject: "self", Role: "admin"}, {Subject: "self", Role: "admin"}}},
			{Principals: []access.Principal{{Subject: "self", Role: "dns"}}},
			{Roles: []access.Role{dns, dns}},
		} {
			require.Error(t, p.Update(o))
			require.Equal(t, wire.CodeForbidden, ask("zone-add", `{"zone":"x"}`).Code, "the old policy stays in force")
		}
		require.NoError(t, p.Update(access.Options{NoOwner: true}))
		require.Equal(t, wire.CodeForbidden, ask("zone-add", `{"zone":"example"}`).Code)
		require.NoError(t, p.Update(access.Options{}))
		require.Zero(t, ask("zone-add", "").Code)
	})
}

// Each of the two policies denies the command; only a mixture of both would allow it.
func TestConcurrentUpdateNeverMixesPolicies(t *testing.T) {
	one := access.Options{Roles: []access.Role{{Name: "x", Allow: []string{"*"}, Deny: []string{"a*"}}}, Principals: []access.Principal{{Subject: "uid:7", Role: "x"}}}
	two := access.Options{Roles: []access.Role{{Name: "y", Deny: []string{"b*"}}, {Name: "x", Allow: []string{"b*"}, Deny: []string{"admin"}}}, Principals: []access.Principal{{Subject: "uid:7", Role: "x"}}}
	p := policy(t, one)
	call := &mgr.Call{Name: "a", Command: &mgr.Command{Name: "a", Level: mgr.Admin}, Peer: transport.Peer{Creds: subjects("uid:7")}}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 1000 {
				if p.Authorize(call) == nil || p.Explain(call).Allowed {
					t.Error("allowed")
				}
			}
		})
	}
	for i := range 200 {
		require.NoError(t, p.Update([]access.Options{two, one}[i%2]))
	}
	asking.Wait()
}

// The cache distinguishes the levels of a command, and may overflow.
func TestCacheKeepsDecisionsCorrect(t *testing.T) {
	p := roles(t, access.Role{Name: "x", Allow: []string{"read", "c7*"}, Deny: []string{"admin"}})
	require.True(t, may(p, "look", mgr.Read, "uid:1"))
	require.False(t, may(p, "look", mgr.Write, "uid:1"))
	require.False(t, may(p, "look", mgr.Admin, "uid:1"))
	require.True(t, may(p, "look", mgr.Read, "uid:1"))
	for i := range access.MaxCached + 10 {
		name := fmt.Sprint("c", i)
		require.Equal(t, name[1] == '7', may(p, name, mgr.Write, "uid:1"))
	}
	require.True(t, may(p, "look", mgr.Read, "uid:1"))
}
