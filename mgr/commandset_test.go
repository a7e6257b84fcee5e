package mgr_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A call waits for a native command, and a new layer covers that command. The call runs inside the middleware of the new
// layer, not of the previous one.
func TestSetLayerWrapsCoveredCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notes []string
		s := newTestCommands()
		d := start(t, nil, append(s.commands(), mgr.Func("native", "", mgr.Read, nothing))...)
		require.NoError(t, d.SetLayer(mgr.Layer{Middleware: []func(mgr.Handler) mgr.Handler{trace(&notes, "old")}}))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}{"command":"native","id":2}`)
		synctest.Wait()
		require.NoError(t, d.SetLayer(mgr.Layer{
			Commands:   []*mgr.Command{textCommand("native", "h", "covers")},
			Overrides:  map[string]string{"native": "h"},
			Middleware: []func(mgr.Handler) mgr.Handler{trace(&notes, "new")},
		}))
		notes = nil
		s.release <- struct{}{}
		c.receiveAll(2)
		require.Equal(t, []string{"old out hold", "new in native", "new out native"}, notes)
	})
}

// Middleware may call the manager: the manager holds no lock meanwhile.
func TestMiddlewareMayCallManagerWhileItWraps(t *testing.T) {
	var m *mgr.CommandMgr
	around := func(next mgr.Handler) mgr.Handler {
		_ = m.Sessions()
		_ = m.Commands()
		_ = m.Register(mgr.Func("added", "", mgr.Read, nothing)) // fails the second time
		return next
	}
	for name, change := range map[string]func() error{
		"Use":      func() error { m.Use(around)(); return nil },
		"Overlay":  func() error { return m.SetLayer(mgr.Layer{Middleware: []func(mgr.Handler) mgr.Handler{around}}) },
		"Register": func() error { m.Use(around); return m.Register(mgr.Func("other", "", mgr.Read, nothing)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a deadlock fails the test at once
				m = mgr.New(nil)
				require.NoError(t, change())
				names := map[string]bool{}
				for _, cmd := range m.Commands() {
					names[cmd.Name] = true
				}
				require.True(t, names["added"])
			})
		})
	}
}

// Middleware that changes the commands each time it is called would make the manager repeat the change for ever.
func TestMiddlewareThatAlwaysChangesCommandsIsRefused(t *testing.T) {
	m := mgr.New(nil)
	inside, on := false, false
	around := func(next mgr.Handler) mgr.Handler {
		if !inside {
			inside = true
			if on = !on; on {
				_ = m.Register(mgr.Func("added", "", mgr.Read, nothing))
			} else {
				_ = m.Deregister("added")
			}
			inside = false
		}
		return next
	}
	err := m.SetLayer(mgr.Layer{Middleware: []func(mgr.Handler) mgr.Handler{around}})
	require.ErrorContains(t, err, "changes the manager's commands each time it is called")
	require.Panics(t, func() { m.Use(around) })
	require.NoError(t, m.SetLayer(mgr.Layer{}), "the manager is as it was")
}

// Changes that come at the same time are all made, with all middleware.
func TestConcurrentChangesOfCommandsAreAllMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil)
		var calls atomic.Int64
		for range 8 {
			go d.Use(func(next mgr.Handler) mgr.Handler {
				return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
					calls.Add(1)
					return next(ctx, call)
				}
			})
		}
		for i := range 8 {
			go func() {
				require.NoError(t, d.Register(mgr.Func("c"+string(rune('0'+i)), "", mgr.Read, nothing)))
			}()
		}
		synctest.Wait()
		for i := range 8 {
			calls.Store(0)
			require.Zero(t, d.call(`{"command":"c`+string(rune('0'+i))+`"}`).Result)
			require.EqualValues(t, 8, calls.Load())
		}
	})
}
