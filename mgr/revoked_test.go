package mgr_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// The conn of a peer with a revoked credential is closed within a second, and its requests before that are refused.
func TestConnOfRevokedCredentialIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Bool
		s := newTestCommands()
		ended := make(chan error, 1)
		d := start(t, nil, append(s.commands(), mgr.Async("wait", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return mgr.None{}, nil
		}))...)
		door := d.openAs(mgr.ListenerConfig{}, subject("self"), revocableCred{"user:ann", &taken})
		idle, busy, quick := door.dial(), door.dial(), door.dial()
		for _, c := range []*rawClient{idle, busy, quick} {
			c.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			require.Zero(t, c.receive().Result)
		}
		other := d.dial()
		defer other.close()
		other.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		busy.send(`{"command":"wait","id":2}{"command":"count","id":3}`)
		synctest.Wait()
		time.Sleep(10*time.Second + 500*time.Millisecond) // between two checks
		require.Len(t, d.Sessions(), 4)

		taken.Store(true)
		quick.send(`{"command":"greet","arguments":{"name":"Ann"},"id":2}{"command":"greet","arguments":{"name":"Ann"},"id":3}`)
		require.Equal(t, reply{ID: 2.0, Result: 401, Text: "your credentials are no longer good: revoked, changed or expired; the conn closes", Error: details("revoked")}, quick.receive())
		quick.requireEOF()
		synctest.Wait()
		require.Len(t, d.Sessions(), 3)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
		require.ErrorIs(t, <-ended, context.Canceled)
		s.release <- struct{}{}
		require.Zero(t, other.receive().Result)
		synctest.Wait()
		require.Zero(t, s.count, "the queued command never runs")
		idle.requireEOF()

		late := door.dial()
		late.send(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
		require.Equal(t, 401, late.receive().Result)
		late.requireEOF()
	})
}

// A conn with a revoked credential, whose Async command does not end, is logged once.
func TestRevokedConnWhoseCommandDoesNotEndIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Bool
		release := make(chan struct{})
		d := start(t, nil, mgr.Async("stubborn", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			<-release
			return mgr.None{}, nil
		}))
		c := d.openAs(mgr.ListenerConfig{}, subject("self"), revocableCred{"user:ann", &taken}).dial()
		defer c.close()
		c.send(`{"command":"stubborn","id":1}`)
		synctest.Wait()
		taken.Store(true)
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, strings.Count(d.log.String(), "credentials are no longer good"), d.log.String())
		close(release)
	})
}
