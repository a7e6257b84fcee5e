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

// The conn of somebody whose credential is revoked is closed within a second, and what it asks before
// that is not heard.
func TestRevokedCredentialsCloseTheirConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Bool
		s := newShip()
		ended := make(chan error, 1)
		d := start(t, nil, append(s.commands(), mgr.Async("wait", "", mgr.Read, func(ctx context.Context, _ mgr.None) (mgr.None, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return mgr.None{}, nil
		}))...)
		door := d.as(mgr.ListenerConfig{}, someone("self"), pass{"user:ann", &taken})
		idle, busy, quick := door.dial(), door.dial(), door.dial()
		for _, c := range []*talker{idle, busy, quick} {
			c.say(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
			require.Zero(t, c.hear().Result)
		}
		other := d.dial()
		defer other.leave()
		other.say(`{"command":"hold","id":1}`)
		synctest.Wait()
		busy.say(`{"command":"wait","id":2}{"command":"count","id":3}`)
		synctest.Wait()
		time.Sleep(10*time.Second + 500*time.Millisecond) // between two looks
		require.Len(t, d.Sessions(), 4)

		taken.Store(true)
		quick.say(`{"command":"greet","arguments":{"name":"Ann"},"id":2}{"command":"greet","arguments":{"name":"Ann"},"id":3}`)
		require.Equal(t, reply{ID: 2.0, Result: 401, Text: "your credentials are no longer good: revoked, changed or expired; the conn closes", Error: details("revoked")}, quick.hear())
		quick.eof()
		synctest.Wait()
		require.Len(t, d.Sessions(), 3)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, d.Sessions(), 1)
		require.ErrorIs(t, <-ended, context.Canceled)
		s.release <- struct{}{}
		require.Zero(t, other.hear().Result)
		synctest.Wait()
		require.Zero(t, s.count, "it waited for its turn")
		idle.eof()

		late := door.dial()
		late.say(`{"command":"greet","arguments":{"name":"Ann"},"id":1}`)
		require.Equal(t, 401, late.hear().Result)
		late.eof()
	})
}

// A conn whose peer's credential was revoked, and whose Async command does not end, is reported once.
func TestRevokedConnWhoseCommandDoesNotEndIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Bool
		release := make(chan struct{})
		d := start(t, nil, mgr.Async("stubborn", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			<-release
			return mgr.None{}, nil
		}))
		c := d.as(mgr.ListenerConfig{}, someone("self"), pass{"user:ann", &taken}).dial()
		defer c.leave()
		c.say(`{"command":"stubborn","id":1}`)
		synctest.Wait()
		taken.Store(true)
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, strings.Count(d.log.String(), "credentials are no longer good"), d.log.String())
		close(release)
	})
}
