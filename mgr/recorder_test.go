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

// A testRecorder is a Recorder that collects lines of text.
type testRecorder struct {
	mu    sync.Mutex
	lines []string
	next  uint64
	full  error
	crash bool
}

func (b *testRecorder) Begin(calls []*mgr.Call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crash {
		panic("panic in the recorder")
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

func (b *testRecorder) End(ends []mgr.CallResult) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.crash {
		panic("panic in the recorder")
	}
	for _, end := range ends {
		b.lines = append(b.lines, fmt.Sprintf("%d ends %s with %d", end.Record, end.Name, end.Code))
	}
}

func (b *testRecorder) write(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

// read returns the lines since the last read.
func (b *testRecorder) read() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(b.lines, "; ")
	b.lines = nil
	return text
}

// relay returns commands that run the named command, one on the loop and one off the loop.
func relay(m func() *mgr.CommandMgr) []mgr.Command {
	run := func(ctx context.Context, in struct {
		Command string `json:"command"`
	}) (wire.Reply, error) {
		return m().Process(ctx, wire.Request{Command: in.Command})
	}
	return []mgr.Command{mgr.Func("relay", "", mgr.Read, run), mgr.Async("relay-async", "", mgr.Read, run)}
}

func TestRecorderGetsBeginAndEndOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &testRecorder{}
		var d *daemon
		mark := func(line string) func(context.Context, mgr.None) (mgr.None, error) {
			return func(context.Context, mgr.None) (mgr.None, error) {
				b.write(line)
				return mgr.None{}, nil
			}
		}
		d = start(t, &mgr.Options{Recorder: b, Authorizer: allowAll{}}, append(append(newTestCommands().commands(),
			mgr.Func("change", "", mgr.Write, mark("change runs")),
			mgr.Async("change-async", "", mgr.Admin, mark("change-async runs")),
			mgr.Func("read", "", mgr.Read, mark("read runs"))),
			relay(func() *mgr.CommandMgr { return d.CommandMgr })...)...)
		for _, test := range []struct{ request, textCommand string }{
			{`{"command":"read"}`, "read runs; 0 ends read with 0"},
			{`{"command":"change"}`, "1 begins change for self; change runs; 1 ends change with 0"},
			{`{"command":"change-async"}`, "2 begins change-async for self; change-async runs; 2 ends change-async with 0"},
			{`{"command":"sing"}`, "0 ends sing with 2"},
			{`{"command":"forbidden"}`, "0 ends forbidden with 403"},
			{`{"command":"doze","arguments":{}}`, "0 ends doze with 1"},
			{`{"command":"crash"}`, "0 ends crash with 500"},
			{`{"comand":"change"}`, "0 ends  with 1"},
			{`{"command":"relay","arguments":{"command":"change"}}`, "change runs; 0 ends relay with 0"},
			{`{"command":"relay-async","arguments":{"command":"change"}}`, "3 begins change for self; change runs; 3 ends change with 0; 0 ends relay-async with 0"},
			{`{"command":"relay-async","arguments":{"command":"forbidden"}}`, "0 ends forbidden with 403; 0 ends relay-async with 403"},
		} {
			d.call(test.request)
			require.Equal(t, test.textCommand, b.read(), test.request)
		}
		d.call(`{"command":"relay","arguments":{"command":"forbidden"}}`) // the refusal is recorded off the loop
		require.Contains(t, b.read(), "0 ends forbidden with 403")

		_, err := d.Process(t.Context(), wire.Request{Command: "change"})
		require.NoError(t, err)
		require.Equal(t, "4 begins change for self; change runs; 4 ends change with 0", b.read())

		c := d.dial()
		defer c.close()
		c.send(`{"command":"change","id":1}{"command":"read","id":2}{"command":"change-async","id":3}{"command":"forbidden","id":4}`)
		c.receiveAll(4)
		text := b.read()
		require.True(t, strings.HasPrefix(text, "5 begins change for self; 6 begins change-async for self; "), text)
		for _, end := range []string{"5 ends change with 0", "6 ends change-async with 0", "0 ends read with 0", "0 ends forbidden with 403"} {
			require.Contains(t, text, end)
		}
	})
}

// When the record cannot be written, commands that change something are refused, and other commands run.
func TestFailingRecorderRefusesChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &testRecorder{full: errors.New("audit.jsonl: no space left on device")}
		s := newTestCommands()
		d := start(t, &mgr.Options{Recorder: b, Authorizer: allowAll{}}, s.commands()...)
		refused := reply{Result: 503, Text: "audit.jsonl: no space left on device", Error: details("not-recorded")}
		require.Equal(t, refused, d.call(`{"command":"count"}`))
		require.Equal(t, refused, d.call(`{"command":"park"}`))
		require.Equal(t, 0, d.call(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
		require.Equal(t, 403, d.call(`{"command":"forbidden"}`).Result)
		got, err := d.Process(t.Context(), wire.Request{Command: "count"})
		require.NoError(t, err)
		require.EqualValues(t, 503, got.Code)

		c := d.dial()
		defer c.close()
		c.send(`{"command":"count","id":1}{"command":"greet","arguments":{"name":"Ann"},"id":2}{"command":"count","id":3}`)
		replies := c.receiveAll(3)
		require.Equal(t, []int{503, 0, 503}, []int{replies[1.0].Result, replies[2.0].Result, replies[3.0].Result})
		synctest.Wait()
		require.Zero(t, s.count)

		b.mu.Lock()
		b.full, b.crash = nil, true
		b.mu.Unlock()
		require.Equal(t, 503, d.call(`{"command":"count"}`).Result)
		require.Equal(t, 0, d.call(`{"command":"greet","arguments":{"name":"Ann"}}`).Result)
		synctest.Wait() // another goroutine writes the log
		require.Contains(t, d.log.String(), "panic in the recorder")
		require.Zero(t, s.count)
	})
}
