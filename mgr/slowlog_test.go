package mgr_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/loop"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// naps returns commands that hold the loop for a while, as handlers on the loop and with OnLoop.
func naps() []mgr.Command {
	type in struct {
		Milliseconds int    `json:"milliseconds"`
		Secret       string `json:"secret,omitzero"`
	}
	return []mgr.Command{
		mgr.Func("nap", "", mgr.Read, func(_ context.Context, in in) (mgr.None, error) {
			nap(in.Milliseconds, in.Secret)
			return mgr.None{}, nil
		}),
		mgr.Async("nap-twice", "", mgr.Read, func(ctx context.Context, in in) (mgr.None, error) {
			for range 2 {
				err := mgr.OnLoop(ctx, func() error {
					nap(in.Milliseconds, in.Secret)
					return nil
				})
				if err != nil {
					return mgr.None{}, err
				}
				time.Sleep(time.Second) // off the loop this is allowed
			}
			return mgr.None{}, nil
		}),
		mgr.Func("nap-and-crash", "", mgr.Read, func(_ context.Context, in in) (mgr.None, error) {
			nap(in.Milliseconds, in.Secret)
			panic(canary)
		}),
	}
}

//go:noinline
func nap(milliseconds int, _ string) { time.Sleep(time.Duration(milliseconds) * time.Millisecond) }

// slowLines returns the lines about slow commands, with their times.
func slowLines(t *testing.T, text string, began time.Time) (lines []slowLine) {
	for _, record := range records(t, text) {
		if record["msg"] != "a command holds the loop" && record["msg"] != "a command held the loop" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, record["time"].(string))
		require.NoError(t, err)
		require.Equal(t, "WARN", record["level"])
		require.Equal(t, "self", record["peer"])
		require.Contains(t, record["session"], "pipe-")
		stack, _ := record["stack"].(string)
		lines = append(lines, slowLine{at.Sub(began), record["msg"] == "a command held the loop", record["command"].(string), time.Duration(record["held"].(float64)), stack != ""})
		if stack != "" {
			require.Contains(t, stack, "mgr_test.nap ")
			require.Contains(t, stack, "slowlog_test.go:")
			require.NotContains(t, stack, "\n\n", "it has the stack of another loop")
		}
	}
	return lines
}

type slowLine struct {
	at      time.Duration
	over    bool
	command string
	held    time.Duration
	stack   bool
}

const ms = time.Millisecond

// A command that holds the loop for too long is logged while it runs, and again when it has ended.
func TestSlowCommandIsLogged(t *testing.T) {
	for _, test := range []struct {
		name     string
		requests []string // each is sent when the one before has been answered
		want     []slowLine
	}{
		{"a slow command", []string{`{"command":"nap","arguments":{"milliseconds":12345,"secret":"c4n4ry"}}`}, []slowLine{
			{250 * ms, false, "nap", 250 * ms, true}, {12345 * ms, true, "nap", 12345 * ms, false},
		}},
		{"fast commands", []string{`{"command":"nap","arguments":{"milliseconds":249}}`, `{"command":"nap","arguments":{"milliseconds":249}}`}, nil},
		{"many fast commands in one batch", []string{
			`{"command":"nap","arguments":{"milliseconds":200},"id":1}{"command":"nap","arguments":{"milliseconds":200},"id":2}{"command":"nap","arguments":{"milliseconds":200}}`,
		}, nil},
		{"a slow command behind fast ones", []string{
			`{"command":"nap","arguments":{"milliseconds":200},"id":1}{"command":"nap","arguments":{"milliseconds":200},"id":2}{"command":"nap","arguments":{"milliseconds":300}}`,
		}, []slowLine{{650 * ms, false, "nap", 250 * ms, true}, {700 * ms, true, "nap", 300 * ms, false}}},
		{"a slow command after fast ones", []string{`{"command":"nap","arguments":{"milliseconds":1}}`, `{"command":"nap","arguments":{"milliseconds":249}}`, `{"command":"nap","arguments":{"milliseconds":400}}`}, []slowLine{
			{500 * ms, false, "nap", 250 * ms, true}, {650 * ms, true, "nap", 400 * ms, false},
		}},
		{"two slow commands", []string{`{"command":"nap","arguments":{"milliseconds":300}}`, `{"command":"nap","arguments":{"milliseconds":300}}`}, []slowLine{
			{250 * ms, false, "nap", 250 * ms, true}, {300 * ms, true, "nap", 300 * ms, false},
			{550 * ms, false, "nap", 250 * ms, true}, {600 * ms, true, "nap", 300 * ms, false},
		}},
		{"OnLoop", []string{`{"command":"nap-twice","arguments":{"milliseconds":500}}`}, []slowLine{
			{250 * ms, false, "nap-twice", 250 * ms, true}, {500 * ms, true, "nap-twice", 500 * ms, false},
			{1750 * ms, false, "nap-twice", 250 * ms, true}, {2000 * ms, true, "nap-twice", 500 * ms, false},
		}},
		{"a command that panics", []string{`{"command":"nap-and-crash","arguments":{"milliseconds":251}}`}, []slowLine{
			{250 * ms, false, "nap-and-crash", 250 * ms, true}, {251 * ms, true, "nap-and-crash", 251 * ms, false},
		}},
		{"with a timeout", []string{`{"command":"nap","arguments":{"milliseconds":2000},"timeout":1}`}, []slowLine{
			{250 * ms, false, "nap", 250 * ms, true}, {2000 * ms, true, "nap", 2000 * ms, false},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				d := start(t, &mgr.Options{Limits: mgr.Limits{SlowCommand: 250 * ms}}, naps()...)
				for _, request := range test.requests {
					c := d.dial()
					c.send(request)
					for r := c.receive(); r.ID != nil; {
						r = c.receive()
					}
					c.close()
				}
				require.NoError(t, d.end())
				synctest.Wait()
				require.Equal(t, test.want, slowLines(t, d.log.String(), began))
				slow, _, _ := strings.Cut(d.log.String(), "panic in a handler")
				require.NotContains(t, slow, canary)
			})
		})
	}
}

// Without SlowCommand the log has no line about slow commands.
func TestSlowCommandIsNotLoggedByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, naps()...)
		require.Zero(t, d.call(`{"command":"nap","arguments":{"milliseconds":20000}}`).Result)
		require.NoError(t, d.end())
		synctest.Wait()
		require.Empty(t, slowLines(t, d.log.String(), time.Now()))
	})
}

// A slow command of Process is logged, too, also on a loop that the manager does not own.
func TestSlowCommandOfProcessIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Output
		own := loop.New()
		m := mgr.New(&mgr.Options{Loop: own, Limits: mgr.Limits{SlowCommand: time.Second}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, m.Register(naps()...))
		go func() { _ = own.Run(context.Background()) }()
		_, err := m.Process(t.Context(), wire.Request{Command: "nap", Arguments: wire.Value(`{"milliseconds":1500}`)})
		require.NoError(t, err)
		require.NoError(t, m.Shutdown(t.Context()))
		own.Close()
		synctest.Wait()
		require.Contains(t, log.String(), `msg="a command holds the loop" peer=self session="" command=nap held=1s stack="`)
		require.Contains(t, log.String(), `msg="a command held the loop" peer=self session="" command=nap held=1.5s`)
	})
}

// Stats counts queued calls and conns; Post runs a function on the loop.
func TestStatsCountsQueuedCallsAndConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestCommands()
		d := start(t, nil, s.commands()...)
		require.Zero(t, d.Stats())
		c := d.dial()
		defer c.close()
		c.send(`{"command":"hold","id":0}`)
		synctest.Wait()
		c.send(`{"command":"count","id":1}{"command":"count","id":2}`)
		time.Sleep(mgr.MaxReplyWait)
		synctest.Wait()
		stats := d.Stats()
		require.Equal(t, 2, stats.Queued)
		require.Equal(t, 1, stats.Conns)
		var ran bool
		require.NoError(t, d.Post(func() { ran = true }))
		s.release <- struct{}{}
		c.receiveAll(3)
		synctest.Wait()
		require.True(t, ran)
		require.Zero(t, d.Stats().Queued)
		require.NoError(t, d.end())
		require.ErrorIs(t, d.Post(func() {}), loop.ErrClosed)
	})
}
