package mgr_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestProcessReturnsReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, newTestCommands().commands()...)
		for _, test := range []struct {
			request wire.Request
			want    wire.Reply
		}{
			{wire.Request{Command: "count"}, wire.Reply{Arguments: 1}},
			{wire.Request{Command: "greet", Arguments: wire.Value(`{"name":"Ann"}`)}, wire.Reply{Arguments: "Hello, Ann."}},
			{wire.Request{Command: "greet"}, wire.Failure(&wire.Error{
				Code: 1, Word: "bad-arguments", Text: "Missing mandatory 'name' parameter.",
				Fields: []wire.Field{{Pointer: "/name", Text: "Missing mandatory 'name' parameter."}},
			})},
			{wire.Request{Command: "sing"}, wire.Failure(wire.Errorf(2, "", "'sing' command not supported."))},
			{wire.Request{Command: "crash"}, wire.Failure(wire.Errorf(500, "", "internal error; the daemon's log says more"))},
		} {
			got, err := d.Process(t.Context(), test.request)
			require.NoError(t, err)
			require.Equal(t, test.want, got, test.request)
		}
		require.NoError(t, d.end())
		got, err := d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.Equal(t, wire.CodeShuttingDown, got.Code)
	})
}

// Process returns when its context ends, or after the timeout of its request. The command then never runs.
func TestProcessWaitsForLoopUntilContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}`)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too long"))
		defer cancel()
		_, err := d.Process(ctx, wire.Request{Command: "count"})
		require.EqualError(t, err, "too long")
		reply, err := d.Process(t.Context(), wire.Request{Command: "count", Timeout: time.Second})
		require.NoError(t, err)
		require.Equal(t, wire.CodeTimeout, reply.Code)
		_, err = d.Process(ctx, wire.Request{Command: "park"})
		require.EqualError(t, err, "too long")
		s.release <- struct{}{}
		require.Zero(t, c.receive().Result)
		reply, err = d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.Equal(t, 1, reply.Arguments)
	})
}

// In a handler on the loop Process runs a command at once, before the queued calls, and refuses an Async command. In an Async
// handler Process may wait for any command.
func TestProcessInHandlerRunsAtOnceOnLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *daemon
		both := func(ctx context.Context, in struct {
			Command string `json:"command"`
		}) (mgr.Result[any], error) {
			reply, err := d.Process(ctx, wire.Request{Command: in.Command})
			return mgr.Result[any]{Code: reply.Code, Text: reply.Text, Arguments: reply.Arguments}, err
		}
		s := newTestCommands()
		d = start(t, nil, append(s.commands(),
			mgr.Func("on", "", mgr.Read, both), mgr.Async("beside", "", mgr.Read, both),
			mgr.Async("quick", "", mgr.Read, func(context.Context, mgr.None) (string, error) { return "quick", nil }),
		)...)
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":1}{"command":"on","arguments":{"command":"count"},"id":2}{"command":"count","id":3}{"command":"release","id":4}`)
		replies := c.receiveAll(4)
		require.Equal(t, 1.0, replies[2.0].Arguments, "before what was queued")
		require.Equal(t, 2.0, replies[3.0].Arguments)

		for _, test := range []struct {
			how, command string
			want         reply
		}{
			{"on", "quick", reply{Result: 1, Text: "the command 'quick' runs off the loop, and a handler on the loop cannot wait for it", Error: details("failed")}},
			{"on", "sing", reply{Result: 2, Text: "'sing' command not supported.", Error: details("unsupported")}},
			{"on", "crash", reply{Result: 500, Text: "internal error; the daemon's log says more", Error: details("internal")}},
			{"beside", "quick", reply{Arguments: "quick"}},
			{"beside", "count", reply{Arguments: 3.0}},
		} {
			require.Equal(t, test.want, d.call(`{"command":"`+test.how+`","arguments":{"command":"`+test.command+`"}}`), test)
		}
	})
}

// During a drain Process runs the commands of an accepted call.
func TestProcessOfAcceptedCallRunsDuringDrain(t *testing.T) {
	for _, how := range []func(name, summary string, level mgr.Level, h func(context.Context, mgr.None) (any, error), opts ...mgr.Option) mgr.Command{
		mgr.Func[mgr.None, any], mgr.Async[mgr.None, any],
	} {
		synctest.Test(t, func(t *testing.T) {
			var d *daemon
			d = start(t, nil, append(newTestCommands().commands(), how("parts", "", mgr.Read, func(ctx context.Context, _ mgr.None) (any, error) {
				time.Sleep(time.Second)
				reply, err := d.Process(ctx, wire.Request{Command: "count"})
				return reply.Arguments, errors.Join(err, reply.Err())
			}))...)
			c := d.dial()
			c.send(`{"command":"parts","id":1}`)
			synctest.Wait()
			d.stop()
			require.Equal(t, reply{ID: 1.0, Arguments: 1.0}, c.receive())
			c.requireEOF()
		})
	}
}
