package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A book is a Recorder that writes words.
type book struct {
	mu    sync.Mutex
	lines []string
	next  uint64
	full  error
	crash bool
}

func (b *book) Begin(calls []*mgr.Call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crash {
		panic("the pen broke")
	}
	if b.full != nil {
		return b.full
	}
	for _, call := range calls {
		b.next++
		call.Record = b.next
		b.lines = append(b.lines, fmt.Sprintf("%d begins %s for %s", call.Record, call.Name, call.Peer))
	}
	return nil
}

func (b *book) End(ends []mgr.CallResult) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crash {
		panic("the pen broke")
	}
	for _, end := range ends {
		b.lines = append(b.lines, fmt.Sprintf("%d ends %s with %d", end.Record, end.Name, end.Code))
	}
}

func (b *book) write(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

// read returns what was written since.
func (b *book) read() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(b.lines, "; ")
	b.lines = nil
	return text
}

// relay has commands that run another, on the loop and beside it, and say which.
func relay(m func() *mgr.CommandMgr) []mgr.Command {
	run := func(ctx context.Context, in struct {
		Command string `json:"command"`
	}) (wire.Reply, error) {
		return m().Process(ctx, wire.Request{Command: in.Command})
	}
	return []mgr.Command{mgr.Func("relay", "", mgr.Read, run), mgr.Async("relay-async", "", mgr.Read, run)}
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		var d *daemon
		mark := func(line string) func(context.Context, mgr.None) (mgr.None, error) {
			return func(context.Context, mgr.None) (mgr.None, error) {
				b.write(line)
				return mgr.None{}, nil
			}
		}
		d = start(t, &mgr.Options{Recorder: b, Authorizer: captain{}}, append(append(newShip().commands(),
			mgr.Func("steer", "", mgr.Write, mark("steers")),
			mgr.Async("refit", "", mgr.Admin, mark("refits")),
			mgr.Func("look", "", mgr.Read, mark("looks"))),
			relay(func() *mgr.CommandMgr { return d.CommandMgr })...)...)
		for _, test := range []struct{ request, says string }{
			{`{"command":"look"}`, "looks; 0 ends look with 0"},
			{`{"command":"steer"}`, "1 begins steer for self; steers; 1 ends steer with 0"},
			{`{"command":"refit"}`, "2 begins refit for self; refits; 2 ends refit with 0"},
			{`{"command":"sing"}`, "0 ends sing with 2"},
			{`{"command":"scuttle"}`, "0 ends scuttle with 403"},
			{`{"command":"doze","arguments":{}}`, "0 ends doze with 1"},
			{`{"command":"crash"}`, "0 ends crash with 500"},
			{`{"comand":"steer"}`, "0 ends  with 1"},
			{`{"command":"relay","arguments":{"command":"steer"}}`, "steers; 0 ends relay with 0"},
			{`{"command":"relay-async","arguments":{"command":"steer"}}`, "3 begins steer for self; steers; 3 ends steer with 0; 0 ends relay-async with 0"},
			{`{"command":"relay-async","arguments":{"command":"scuttle"}}`, "0 ends scuttle with 403; 0 ends relay-async with 403"},
		} {
			d.ask(test.request)
			require.Equal(t, test.says, b.read(), test.request)
		}
		d.ask(`{"command":"relay","arguments":{"command":"scuttle"}}`) // which is recorded off the loop
		require.Contains(t, b.read(), "0 ends scuttle with 403")

		_, err := d.Process(t.Context(), wire.Request{Command: "steer"})
		require.NoError(t, err)
		require.Equal(t, "4 begins steer for self; steers; 4 ends steer with 0", b.read())

		c := d.dial()
		defer c.leave()
		c.say(`{"command":"steer","id":1}{"command":"look","id":2}{"command":"refit","id":3}{"command":"scuttle","id":4}`)
		c.hearAll(4)
		text := b.read()
		require.True(t, strings.HasPrefix(text, "5 begins steer for self; 6 begins refit for self; "), text)
		for _, end := range []string{"5 ends steer with 0", "6 ends refit with 0", "0 ends look with 0", "0 ends scuttle with 403"} {
			require.Contains(t, text, end)
		}
	})
}

// Where nothing can be recorded, nothing is changed; looking is allowed, and so is being told no.
func TestRecorderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{full: errors.New("audit.jsonl: no space left on device")}
		s := newShip()
		d := start(t, &mgr.Options{Recorder: b, Authorizer: captain{}}, s.commands()...)
		refused := reply{Result: 503, Text: "audit.jsonl: no space left on device", Error: details("not-recorded")}
		require.Equal(t, refused, d.ask(`{"command":"count"}`))
		require.Equal(t, refused, d.ask(`{"command":"park"}`))
		require.Equal(t, 0, d.ask(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
		require.Equal(t, 403, d.ask(`{"command":"scuttle"}`).Result)
		got, err := d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.EqualValues(t, 503, got.Code)

		c := d.dial()
		defer c.leave()
		c.say(`{"command":"count","id":1}{"command":"greet","arguments":{"name":"Ann"},"id":2}{"command":"count","id":3}`)
		replies := c.hearAll(3)
		require.Equal(t, []int{503, 0, 503}, []int{replies[1.0].Result, replies[2.0].Result, replies[3.0].Result})
		synctest.Wait()
		require.Zero(t, s.count)

		b.mu.Lock()
		b.full, b.crash = nil, true
		b.mu.Unlock()
		require.Equal(t, 503, d.ask(`{"command":"count"}`).Result)
		require.Equal(t, 0, d.ask(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
		synctest.Wait() // the log is written by another goroutine
		require.Contains(t, d.log.String(), "the pen broke")
		require.Zero(t, s.count)
	})
}
