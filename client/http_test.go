package client_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// anyUser is an Authenticator that accepts each claim.
type anyUser struct{}

func (anyUser) Authenticate(context.Context, transport.Claim) ([]transport.Credential, error) {
	return []transport.Credential{aUser{}}, nil
}

type aUser struct{}

func (aUser) Subject() string { return "user:ann" }

// everything is an Authorizer that allows each command.
type everything struct{}

func (everything) Authorize(*mgr.Call) error { return nil }

// httpDaemon runs a manager behind HTTP until the test ends, and returns its dialer.
func httpDaemon(t *testing.T, commands ...mgr.Command) *http.Transport {
	t.Helper()
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Authorizer: everything{}})
	require.NoError(t, m.Register(commands...))
	socket, err := m.Open(t.Context(), &http.Transport{Address: "127.0.0.1:0", Insecure: true, Authenticator: anyUser{}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	dialer := &http.Transport{Address: socket.Addr().String(), Credentials: transport.Claim{User: "ann", Password: "x"}}
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		dialer.CloseIdle()
	})
	return dialer
}

const advice = "an HTTP conn carries one command; dial again for the next one, as client.Do does, or use unix, tls, websocket or quic"

func TestSecondCommandOnAnHTTPClientIsRefusedWithAdvice(t *testing.T) {
	place := httpDaemon(t, echo)
	c := dial(t, place)
	got, err := client.Call[string](t.Context(), c, "echo", "one")
	require.NoError(t, err)
	require.Equal(t, "one", got)
	for range 2 {
		_, err = client.Call[string](t.Context(), c, "echo", "two")
		require.ErrorIs(t, err, transport.ErrOneFrame)
		require.EqualError(t, err, advice)
	}
	for range 2 { // the advice is right
		reply, err := client.Do(t.Context(), place, wire.Request{Command: "echo", Arguments: wire.Value(`"x"`)})
		require.NoError(t, err)
		require.NoError(t, reply.Err())
	}
}

func TestSecondCommandOnAnHTTPClientDoesNotDisturbTheFirst(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	c := dial(t, httpDaemon(t, mgr.Async("wait", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
		close(begun)
		<-finish
		return mgr.None{}, nil
	})))
	first := make(chan error, 1)
	go func() {
		_, err := client.Call[any](context.Background(), c, "wait", nil)
		first <- err
	}()
	<-begun
	_, err := c.Do(t.Context(), wire.Request{Command: "wait"}) // returns while the first one is in flight
	require.EqualError(t, err, advice)
	close(finish)
	require.NoError(t, <-first)
}

// A refusal of the listener ends the conn. Later commands get its reason, not transport.ErrOneFrame.
func TestCommandAfterARefusalOverHTTPHasItsReason(t *testing.T) {
	place := httpDaemon(t, echo)
	place.Credentials = transport.Claim{}
	c := dial(t, place)
	for range 2 {
		_, err := client.Call[string](t.Context(), c, "echo", "one")
		var status *http.StatusError
		require.ErrorAs(t, err, &status)
		require.Equal(t, 401, status.Status)
	}
}
