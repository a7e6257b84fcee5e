package mgr_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// trace returns a hook that notes when calls go in and come out.
func trace(notes *[]string, name string) func(mgr.Handler) mgr.Handler {
	return func(next mgr.Handler) mgr.Handler {
		return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
			*notes = append(*notes, name+" in "+call.Name)
			reply, err := next(ctx, call)
			*notes = append(*notes, name+" out "+call.Name)
			return reply, err
		}
	}
}

func TestHookOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var notes []string // belongs to the loop
		d := prepare(t, nil)
		d.Use(trace(&notes, "a"))
		removeB := d.Use(trace(&notes, "b"))
		require.NoError(t, d.Register(mgr.Func("late", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) {
			notes = append(notes, "handler")
			return mgr.None{}, nil
		})))
		run(t, d)
		require.Zero(t, d.ask(`{"command":"late"}`).Result)
		require.Equal(t, []string{"a in late", "b in late", "handler", "b out late", "a out late"}, notes)

		removeB()
		removeB()
		d.Use(trace(&notes, "c"))
		notes = nil
		require.Equal(t, 2, d.ask(`{"command":"unknown"}`).Result)
		require.Zero(t, d.ask(`{"command":"whoami"}`).Result)
		require.Equal(t, []string{
			"a in unknown", "c in unknown", "c out unknown", "a out unknown",
			"a in whoami", "c in whoami", "c out whoami", "a out whoami",
		}, notes)
	})
}

func TestHookKinds(t *testing.T) {
	hook := func(next mgr.Handler) mgr.Handler {
		return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
			switch call.Name {
			case "instead":
				return wire.Reply{Text: "not the handler"}, nil
			case "refused":
				return wire.Reply{}, wire.Errorf(wire.CodeConflict, "", "the hook is against it")
			case "bad-before":
				panic("canary before")
			case "bad-after":
				_, _ = next(ctx, call)
				panic("canary after")
			case "mine":
				return wire.Reply{Arguments: call.Command == nil}, nil
			}
			reply, err := next(ctx, call)
			if err != nil {
				return wire.Reply{Code: 3, Text: "was: " + err.Error()}, nil
			}
			reply.Text = "after"
			return reply, nil
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var commands []mgr.Command
		for _, name := range []string{"instead", "refused", "bad-before", "bad-after", "after"} {
			commands = append(commands, mgr.Func(name, "", mgr.Read, func(context.Context, mgr.None) (string, error) { return "handler", nil }))
		}
		d := start(t, &mgr.Options{Authorizer: captain{}}, append(commands, newShip().commands()...)...)
		d.Use(hook)
		for command, want := range map[string]reply{
			"after":   {Text: "after", Arguments: "handler"},
			"instead": {Text: "not the handler"},
			"refused": {Result: 4, Text: "the hook is against it", Error: details("conflict")},
			"mine":    {Arguments: true},
			"unknown": {Result: 3, Text: "was: 'unknown' command not supported."},
			// The hook sees neither, so it does not change them.
			"scuttle": {Result: 403, Text: "nobody may scuttle", Error: details("forbidden")},
			"hold1":   {Result: 3, Text: "was: 'hold1' command not supported."},
		} {
			require.Equal(t, want, d.ask(`{"command":"`+command+`"}`), command)
		}
		require.Equal(t, "Missing mandatory 'name' parameter.", d.ask(`{"command":"greet"}`).Text)
		for _, command := range []string{"bad-before", "bad-after"} {
			r := d.ask(`{"command":"` + command + `"}`)
			require.Equal(t, 500, r.Result)
			require.NotContains(t, r.Text, "canary")
		}
		require.Equal(t, "after", d.ask(`{"command":"count"}`).Text)
		synctest.Wait()
		require.Contains(t, d.log.String(), "canary after")
	})
}

// details is the error of a failed command's reply.
func details(code string) map[string]any { return map[string]any{"code": code} }

func TestHookRemovedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newShip().commands()...)
		remove := d.Use(func(next mgr.Handler) mgr.Handler {
			return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
				reply, err := next(ctx, call)
				reply.Text = "hooked"
				return reply, err
			}
		})
		c := d.dial()
		defer c.leave()
		c.say(`{"command":"hold","id":1}{"command":"count","id":2}`)
		synctest.Wait()
		remove()
		c.say(`{"command":"release","id":3}`)
		replies := c.hearAll(3)
		require.Equal(t, "hooked", replies[1.0].Text)
		require.Empty(t, replies[2.0].Text)
		require.Empty(t, replies[3.0].Text)
	})
}

// TestHookRunsWhereTheCommandRuns: on the loop, or beside it.
func TestHookRunsWhereTheCommandRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		where := func(context.Context, mgr.None) (uint64, error) { return goroutine(), nil }
		d := start(t, nil, mgr.Func("on", "", mgr.Read, where), mgr.Async("beside", "", mgr.Read, where))
		hooked := make(chan uint64, 1)
		d.Use(func(next mgr.Handler) mgr.Handler {
			return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
				hooked <- goroutine()
				return next(ctx, call)
			}
		})
		on := d.ask(`{"command":"on"}`).Arguments.(float64)
		require.EqualValues(t, on, <-hooked)
		beside := d.ask(`{"command":"beside"}`).Arguments.(float64)
		require.EqualValues(t, beside, <-hooked)
		require.NotEqual(t, on, beside)
	})
}
