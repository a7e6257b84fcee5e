package mgr_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// textCommand returns a command of a layer that returns a text.
func textCommand(name, owner, what string) *mgr.Command {
	cmd := mgr.Func(name, "", mgr.Read, func(context.Context, mgr.None) (string, error) { return what, nil })
	cmd.Owner = owner
	return &cmd
}

func TestSetLayerReplacesCommandsInOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, mgr.Func("native", "", mgr.Read, func(context.Context, mgr.None) (string, error) { return "native", nil }))
		over := mgr.Layer{Commands: []*mgr.Command{textCommand("native", "h", "over"), textCommand("more", "h", "more")}, Overrides: map[string]string{"native": "h"}}
		require.NoError(t, d.CheckLayer(over))
		require.Equal(t, "native", d.call(`{"command":"native"}`).Arguments)
		require.NoError(t, d.SetLayer(over))
		require.Equal(t, "over", d.call(`{"command":"native"}`).Arguments)
		require.Equal(t, "h", d.call(`{"command":"describe-command","arguments":{"command":"more"}}`).Arguments.(map[string]any)["owner"])
		require.Error(t, d.Register(*textCommand("more", "", "")), "its name is taken")

		// A layer that is refused changes nothing.
		for text, layer := range map[string]mgr.Layer{
			"command 'native' of 'i': Handler for command 'native' is already installed. Only an override by name covers it.":  {Commands: []*mgr.Command{textCommand("native", "i", "")}},
			"command 'more' of 'i': Handler for command 'more' is already installed, by 'h'.":                                  {Commands: []*mgr.Command{textCommand("more", "h", ""), textCommand("more", "i", "")}},
			"command 'cancel' of 'i': Handler for command 'cancel' is already installed, and no hook library can override it.": {Commands: []*mgr.Command{textCommand("cancel", "i", "")}, Overrides: map[string]string{"cancel": "i"}},
			"command 'x' of '': it has no owner; the commands of the daemon itself are given to Register":                      {Commands: []*mgr.Command{textCommand("x", "", "")}},
			"command 'X' of 'i': a command's name matches":                                                                     {Commands: []*mgr.Command{textCommand("X", "i", "")}},
			"'i' overrides 'gone', and has no such command, or there is none to override":                                      {Overrides: map[string]string{"gone": "i"}},
			"panic in middleware while it wrapped a command: canary":                                                           {Middleware: []func(mgr.Handler) mgr.Handler{func(mgr.Handler) mgr.Handler { panic("canary") }}},
		} {
			require.ErrorContains(t, d.SetLayer(layer), text)
			require.Equal(t, "over", d.call(`{"command":"native"}`).Arguments)
			require.Equal(t, "more", d.call(`{"command":"more"}`).Arguments)
		}

		require.NoError(t, d.SetLayer(mgr.Layer{}))
		require.Equal(t, "native", d.call(`{"command":"native"}`).Arguments)
		require.Equal(t, 2, d.call(`{"command":"more"}`).Result)

		// A native command that is deregistered while it is covered does not come back.
		require.NoError(t, d.SetLayer(over))
		require.NoError(t, d.Deregister("native"))
		require.EqualError(t, d.Deregister("native"), "Can't uninstall command 'native': it belongs to 'h'")
		require.Equal(t, "over", d.call(`{"command":"native"}`).Arguments)
		require.NoError(t, d.SetLayer(mgr.Layer{}))
		require.Equal(t, 2, d.call(`{"command":"native"}`).Result)
	})
}

// Queued calls of commands that the new layer keeps run. Calls of commands that it does not have get result 2. A call of a
// native command that is covered meanwhile runs the native command.
func TestSetLayerWhileCallsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		kept, gone, count := textCommand("kept", "h", "kept"), textCommand("gone", "h", "gone"), textCommand("count", "h", "covered")
		count.Level = mgr.Admin
		require.NoError(t, d.SetLayer(mgr.Layer{Commands: []*mgr.Command{kept, gone}}))
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}{"command":"kept","id":2}{"command":"gone","id":3}{"command":"count","id":4}`)
		synctest.Wait()
		require.NoError(t, d.SetLayer(mgr.Layer{
			Commands: []*mgr.Command{kept, count}, Overrides: map[string]string{"count": "h"},
		}))
		c.send(`{"command":"count","id":5}{"command":"release","id":6}`)
		replies := c.receiveAll(6)
		require.Equal(t, "kept", replies[2.0].Arguments)
		require.Equal(t, 2, replies[3.0].Result)
		require.NotEqual(t, "covered", replies[4.0].Arguments)
		require.Equal(t, "covered", replies[5.0].Arguments)
	})
}

// The middleware of the layer is inside the middleware of Use, also around a command that the layer covers.
func TestLayerMiddlewareIsInsideOfThatOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notes []string
		d := start(t, nil, mgr.Func("x", "", mgr.Read, nothing))
		layer := mgr.Layer{Middleware: []func(mgr.Handler) mgr.Handler{trace(&notes, "a"), trace(&notes, "b")}}
		require.NoError(t, d.SetLayer(layer))
		remove := d.Use(trace(&notes, "outer"))
		require.Zero(t, d.call(`{"command":"x"}`).Result)
		require.Equal(t, []string{"outer in x", "a in x", "b in x", "b out x", "a out x", "outer out x"}, notes)

		cover := mgr.Layer{Commands: []*mgr.Command{textCommand("x", "h", "over")}, Overrides: map[string]string{"x": "h"}}
		require.NoError(t, d.SetLayer(cover))
		remove()
		require.NoError(t, d.SetLayer(mgr.Layer{}))
		notes = nil
		require.Nil(t, d.call(`{"command":"x"}`).Arguments)
		require.Equal(t, 2, d.call(`{"command":"y"}`).Result)
		require.Empty(t, notes)
	})
}

func TestOverrideNeedsAtLeastTheSameLevel(t *testing.T) {
	m := mgr.New(nil)
	require.NoError(t, m.Register(mgr.Func("x", "", mgr.Write, nothing)))
	over := mgr.Layer{Commands: []*mgr.Command{textCommand("x", "h", "")}, Overrides: map[string]string{"x": "h"}}
	require.EqualError(t, m.CheckLayer(over), "command 'x' of 'h': it asks for read access only, and what it overrides for write")
	over.Commands[0].Level = mgr.Admin
	require.NoError(t, m.SetLayer(over))
}

// Checked checks the arguments for a handler that reads the bytes.
func TestCheckedChecksArgumentsOfBytesHandler(t *testing.T) {
	s, err := schema.Parse([]byte(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`))
	require.NoError(t, err)
	anything, err := schema.Parse([]byte(`{}`))
	require.NoError(t, err)
	bytes := func(_ context.Context, call *mgr.Call) (wire.Reply, error) {
		return wire.Reply{Arguments: call.Arguments}, nil
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil,
			mgr.Command{Name: "map", Level: mgr.Read, Args: s, Handler: bytes}.Checked(),
			mgr.Command{Name: "any", Level: mgr.Read, Args: anything, Handler: bytes}.Checked(),
			mgr.Command{Name: "unsaid", Level: mgr.Read, Handler: bytes}.Checked(),
		)
		for request, want := range map[string]reply{
			`{"command":"map","arguments":{"n":1,"m":2}}`: {Arguments: map[string]any{"n": 1.0, "m": 2.0}},
			`{"command":"any","arguments":[1]}`:           {Arguments: []any{1.0}},
			`{"command":"any"}`:                           {},
			`{"command":"unsaid","arguments":7}`:          {Arguments: 7.0},
		} {
			require.Equal(t, want, d.call(request), request)
		}
		for request, want := range map[string]string{
			`{"command":"map"}`:                      "Missing mandatory 'n' parameter.",
			`{"command":"map","arguments":null}`:     "Missing mandatory 'n' parameter.",
			`{"command":"map","arguments":[]}`:       "invalid command 'map': expected 'arguments' to be a map, got list instead",
			`{"command":"map","arguments":{"n":""}}`: "'n' parameter expected to be an integer.",
		} {
			require.Equal(t, want, d.call(request).Text, request)
		}
	})
}

// ProcessEncoded returns values that were encoded on the loop. The race detector checks that they do not race with the state
// that they describe.
func TestProcessEncodedEncodesOnLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := map[string]int{}
		d := start(t, nil,
			mgr.Func("state", "", mgr.Read, func(context.Context, mgr.None) (map[string]int, error) {
				state["seen"]++
				return state, nil
			}),
			mgr.Func("chan", "", mgr.Read, func(context.Context, mgr.None) (any, error) { return make(chan int), nil }))
		for _, want := range []string{`{"seen":1}`, `{"seen":2}`} {
			r, err := d.ProcessEncoded(t.Context(), wire.Request{Command: "state"})
			require.NoError(t, err)
			require.Equal(t, want, r.Arguments.(wire.Raw).String())
		}
		r, err := d.ProcessEncoded(t.Context(), wire.Request{Command: "chan"})
		require.NoError(t, err)
		require.Equal(t, wire.CodeInternal, r.Code)
		r, err = d.ProcessEncoded(t.Context(), wire.Request{Command: "no-such"})
		require.NoError(t, err)
		require.Equal(t, wire.Failure(wire.Errorf(wire.CodeUnsupported, "", "'no-such' command not supported.")), r)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = d.ProcessEncoded(ctx, wire.Request{Command: "state"})
		require.ErrorIs(t, err, context.Canceled)
	})
}
