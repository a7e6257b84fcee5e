package mgr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// quietLog is for tests that do not check the log.
var quietLog = slog.New(slog.DiscardHandler)

const canary = "c4n4ry"

// No log line has the arguments, for commands with every kind of result.
func TestLogHasNoArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}}, append(newTestCommands().commands(),
			mgr.Func("fails", "", mgr.Read, func(_ context.Context, in greetIn) (mgr.None, error) { return mgr.None{}, errors.New(in.Name) }),
			mgr.Func("cannot", "", mgr.Read, func(context.Context, greetIn) (any, error) { return make(chan int), nil }))...)
		for _, request := range []string{
			`{"command":"greet","arguments":{"name":"c4n4ry"}}`,
			`{"command":"greet","arguments":{"name":["c4n4ry"]}}`,
			`{"command":"greet","arguments":{"c4n4ry":1}}`,
			`{"command":"fails","arguments":{"name":"c4n4ry"}}`,
			`{"command":"cannot","arguments":{"name":"c4n4ry"}}`,
			`{"command":"crash","arguments":{"name":"c4n4ry"}}`,
			`{"command":"forbidden","arguments":{"name":"c4n4ry"}}`,
			`{"command":"sing","arguments":{"name":"c4n4ry"}}`,
			`{"command":"greet","c4n4ry":1}`,
			`{"command":"greet","arguments":{"name":"c4n4ry"`,
			`{"command":"greet","arguments":{"name":c4n4ry}}`,
			`{"command":"greet","arguments":{"name":"c4n4ry"},"id":"c4n4ry"}`,
			`{"command":"greet","service":["c4n4ry"],"arguments":{"name":"c4n4ry"},"timeout":"c4n4ry"}`,
		} {
			c := d.dial()
			c.send(request)
			c.closeWrite()
			_, err := io.ReadAll(c.conn)
			require.NoError(t, err)
			c.close()
		}
		synctest.Wait()
		require.Contains(t, d.log.String(), `"command":"greet"`)
		require.NotContains(t, d.log.String(), canary)
	})
}

// records returns the lines of the log.
func records(t *testing.T, text string) (lines []map[string]any) {
	for line := range strings.Lines(text) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		lines = append(lines, record)
	}
	return lines
}

func TestLogHasOneLineForEachCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Output
		d := start(t, &mgr.Options{Authorizer: allowAll{}, Logger: slog.New(slog.NewJSONHandler(&log, nil))}, newTestCommands().commands()...)
		for _, request := range []string{
			`{"command":"doze","arguments":{"seconds":2}}`, `{"command":"forbidden"}`, `{"command":"sing"}`, `{"colour":1}`, `x`,
		} {
			d.call(request)
			synctest.Wait() // the daemon logs a command after its reply: without it the next command may be logged first
		}
		var got []map[string]any
		for _, record := range records(t, log.String()) {
			delete(record, "time")
			require.Contains(t, record["session"], "pipe-")
			delete(record, "session")
			got = append(got, record)
		}
		line := func(level, command string, result int, took time.Duration) map[string]any {
			return map[string]any{"level": level, "msg": "command", "peer": "self", "command": command, "result": float64(result), "duration": float64(took)}
		}
		require.Equal(t, []map[string]any{
			line("INFO", "doze", 0, 2*time.Second),
			line("WARN", "forbidden", 403, 0),
			line("INFO", "sing", 2, 0),
			line("INFO", "", 1, 0),
			line("INFO", "", 1, 0),
		}, got)
		require.NoError(t, d.end())
	})
}

// Names of unknown commands cannot forge lines, colour a terminal, or fill a disk.
func TestUnknownNamesAreQuotedInLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Output
		d := start(t, &mgr.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		d.call(`{"command":"x\nlevel=INFO msg=forged \u001b[31mred\u001b[0m \u009b31m \u202e \u0000"}`)
		d.call(`{"command":"` + strings.Repeat("long ", 1<<16) + `"}`)
		synctest.Wait()
		lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
		require.Len(t, lines, 2)
		for _, c := range log.String() {
			require.True(t, c == '\n' || c >= ' ' && c != 0x7f && (c < 0x80 || c > 0x9f) && c != 0x202e, "%q in %s", c, log.String())
		}
		require.Less(t, len(lines[1]), 512)
	})
}

func TestObserverIsToldOfConnsAndCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
		requests := []string{
			`{"command":"doze","arguments":{"seconds":2},"id":1}`, `{"command":"forbidden","id":1}`, `{"command":"sing","id":1}`, `{"colour":1,"id":1}`, `x`,
		}
		c := d.dial()
		var replies []string
		for _, request := range requests {
			c.send(request)
			replies = append(replies, c.receiveLine())
		}
		c.requireEOF()
		d.dial().close()
		synctest.Wait()
		type result struct {
			name     string
			known    bool
			code     wire.Code
			duration time.Duration
			in, out  int
		}
		var got []result
		for _, r := range d.seen.results() {
			require.Equal(t, "self", r.Peer.String())
			got = append(got, result{r.Name, r.Command != nil, r.Code, r.Duration, r.BytesIn, r.BytesOut})
		}
		want := []result{
			{name: "doze", known: true, duration: 2 * time.Second},
			{name: "forbidden", known: true, code: 403},
			{name: "sing", code: 2},
			{code: 1},
			{code: 1},
		}
		for i := range want {
			want[i].out = len(replies[i])
			if requests[i] != "x" {
				want[i].in = len(requests[i])
			}
		}
		require.Equal(t, want, got)
		opened, closed := d.seen.conns()
		require.Equal(t, 2, opened)
		require.Equal(t, 2, closed)
	})
}

// A call as a log value has the peer and the command.
func TestCallAsLogValueHasPeerAndCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		d := start(t, nil, mgr.Command{Name: "tell", Level: mgr.Read, Handler: func(_ context.Context, call *mgr.Call) (wire.Reply, error) {
			log.Info("asked", "call", call)
			return wire.Reply{}, nil
		}})
		d.call(`{"command":"tell","arguments":"c4n4ry"}`)
		require.Contains(t, text.String(), "msg=asked call.peer=self call.command=tell\n")
	})
}
