package mgr_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// trace returns middleware that notes when it is entered and left.
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

func TestMiddlewareRunsInOrderOfUse(t *testing.T) {
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
		require.Zero(t, d.call(`{"command":"late"}`).Result)
		require.Equal(t, []string{"a in late", "b in late", "handler", "b out late", "a out late"}, notes)

		removeB()
		removeB()
		d.Use(trace(&notes, "c"))
		notes = nil
		require.Equal(t, 2, d.call(`{"command":"unknown"}`).Result)
		require.Zero(t, d.call(`{"command":"whoami"}`).Result)
		require.Equal(t, []string{
			"a in unknown", "c in unknown", "c out unknown", "a out unknown",
			"a in whoami", "c in whoami", "c out whoami", "a out whoami",
		}, notes)
	})
}

func TestMiddlewareMayReplaceOrChangeReply(t *testing.T) {
	middleware := func(next mgr.Handler) mgr.Handler {
		return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
			switch call.Name {
			case "instead":
				return wire.Reply{Text: "not the handler"}, nil
			case "refused":
				return wire.Reply{}, wire.Errorf(wire.CodeConflict, "", "the middleware refuses it")
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
		d := start(t, &mgr.Options{Authorizer: allowAll{}}, append(commands, newTestCommands().commands()...)...)
		d.Use(middleware)
		for command, want := range map[string]reply{
			"after":   {Text: "after", Arguments: "handler"},
			"instead": {Text: "not the handler"},
			"refused": {Result: 4, Text: "the middleware refuses it", Error: details("conflict")},
			"mine":    {Arguments: true},
			"unknown": {Result: 3, Text: "was: 'unknown' command not supported."},
			// The middleware sees neither of them, so it does not change the replies.
			"forbidden": {Result: 403, Text: "this command is never allowed", Error: details("forbidden")},
			"hold1":     {Result: 3, Text: "was: 'hold1' command not supported."},
		} {
			require.Equal(t, want, d.call(`{"command":"`+command+`"}`), command)
		}
		require.Equal(t, "Missing mandatory 'name' parameter.", d.call(`{"command":"greet"}`).Text)
		for _, command := range []string{"bad-before", "bad-after"} {
			r := d.call(`{"command":"` + command + `"}`)
			require.Equal(t, 500, r.Result)
			require.NotContains(t, r.Text, "canary")
		}
		require.Equal(t, "after", d.call(`{"command":"count"}`).Text)
		synctest.Wait()
		require.Contains(t, d.log.String(), "canary after")
	})
}

// details returns error of the reply to a failed command.
func details(code string) map[string]any { return map[string]any{"code": code} }

func TestMiddlewareRemovedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		remove := d.Use(func(next mgr.Handler) mgr.Handler {
			return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
				reply, err := next(ctx, call)
				reply.Text = "changed"
				return reply, err
			}
		})
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}{"command":"count","id":2}`)
		synctest.Wait()
		remove()
		c.send(`{"command":"release","id":3}`)
		replies := c.receiveAll(3)
		require.Equal(t, "changed", replies[1.0].Text)
		require.Empty(t, replies[2.0].Text)
		require.Empty(t, replies[3.0].Text)
	})
}

// Middleware runs on the goroutine of the command: on the loop, or off the loop.
func TestMiddlewareRunsOnGoroutineOfCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		where := func(context.Context, mgr.None) (uint64, error) { return goroutine(), nil }
		d := start(t, nil, mgr.Func("on", "", mgr.Read, where), mgr.Async("beside", "", mgr.Read, where))
		goroutines := make(chan uint64, 1)
		d.Use(func(next mgr.Handler) mgr.Handler {
			return func(ctx context.Context, call *mgr.Call) (wire.Reply, error) {
				goroutines <- goroutine()
				return next(ctx, call)
			}
		})
		on := d.call(`{"command":"on"}`).Arguments.(float64)
		require.EqualValues(t, on, <-goroutines)
		beside := d.call(`{"command":"beside"}`).Arguments.(float64)
		require.EqualValues(t, beside, <-goroutines)
		require.NotEqual(t, on, beside)
	})
}
