package std_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestTemporaryLogLevelIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var level slog.LevelVar
		began := time.Now()
		d := start(t, nil, std.LogLevel(&level)...)
		at := func(after time.Duration) string { return began.Add(after).UTC().Format(time.RFC3339Nano) }
		set := func(arguments, text, out string) {
			t.Helper()
			said, got := d.give(`{"command":"log-level-set","arguments":` + arguments + `}`)
			require.Equal(t, text, said)
			require.JSONEq(t, out, got)
		}
		is := func(want string) {
			t.Helper()
			_, got := d.give(`{"command":"log-level-get"}`)
			require.JSONEq(t, want, got)
		}

		// The level is reset when its time has passed.
		debug := fmt.Sprintf(`{"level":"debug","until":%q,"then":"info"}`, at(5*time.Minute))
		set(`{"level":"debug","for":"5m"}`, "Log level is now debug, and in 5m0s it is info again.", debug)
		time.Sleep(5*time.Minute - 1)
		is(debug)
		require.Equal(t, slog.LevelDebug, level.Level())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		is(`{"level":"info"}`)

		// A second temporary level replaces the first. The reset restores the permanent level.
		set(`{"level":"debug","for":"1m"}`, "Log level is now debug, and in 1m0s it is info again.",
			fmt.Sprintf(`{"level":"debug","until":%q,"then":"info"}`, at(6*time.Minute)))
		set(`{"level":"error","for":"1h"}`, "Log level is now error, and in 1h0m0s it is info again.",
			fmt.Sprintf(`{"level":"error","until":%q,"then":"info"}`, at(65*time.Minute)))
		time.Sleep(time.Hour - 1)
		require.Equal(t, slog.LevelError, level.Level())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, slog.LevelInfo, level.Level())

		// A permanent level ends a temporary one.
		d.give(`{"command":"log-level-set","arguments":{"level":"debug","for":"1m"}}`)
		set(`{"level":"warn"}`, "Log level is now warn.", `{"level":"warn"}`)
		time.Sleep(time.Hour)
		is(`{"level":"warn"}`)

		// A level that is set meanwhile, for example by a new configuration, is not reset.
		d.give(`{"command":"log-level-set","arguments":{"level":"debug","for":"1m"}}`)
		level.Set(slog.LevelError)
		is(`{"level":"error"}`)
		time.Sleep(time.Hour)
		is(`{"level":"error"}`)
		d.give(`{"command":"log-level-set","arguments":{"level":"debug","for":"1m"}}`)
		level.Set(slog.LevelInfo)
		set(`{"level":"debug","for":"24h"}`, "Log level is now debug, and in 24h0m0s it is info again.",
			fmt.Sprintf(`{"level":"debug","until":%q,"then":"info"}`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339Nano)))
		d.stop()
	})
}

func TestBadDurationOfLogLevelIsRefused(t *testing.T) {
	var level slog.LevelVar
	d := start(t, nil, std.LogLevel(&level)...)
	for _, bad := range []string{`"5"`, `"soon"`, `"-5m"`, `"0s"`, `"24h0m1s"`, `"9999999h"`, `"5 m"`, `5`, `null`} {
		reply, _ := d.ask(`{"command":"log-level-set","arguments":{"level":"debug","for":` + bad + `}}`)
		require.Equal(t, wire.CodeError, reply.Code, bad)
		require.Equal(t, "/for", reply.Error.Fields[0].Pointer, bad)
		require.Equal(t, slog.LevelInfo, level.Level())
	}
}
