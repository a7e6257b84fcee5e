package mgr_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// A peer without any right cannot fill the log: ten lines a second are written about its refusals, and then the number of the
// lines that were left out. Lines about allowed calls are not limited.
func TestLinesAboutRefusalsAreLimitedForEachPeer(t *testing.T) {
	for _, request := range []string{`{"command":"forbidden"}`, `{"command":"no-such-command"}`, `{"colour":1}`, `x`} {
		synctest.Test(t, func(t *testing.T) {
			var log testkit.Output
			d := start(t, &mgr.Options{Authorizer: allowAll{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}, newTestCommands().commands()...)
			for range 500 {
				d.call(request)
			}
			for range 30 {
				require.Zero(t, d.call(`{"command":"list-commands"}`).Result)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			text := log.String()
			require.Equal(t, 10, strings.Count(text, "msg=command")-strings.Count(text, "command=list-commands"), request)
			require.Equal(t, 30, strings.Count(text, "command=list-commands"))
			require.Equal(t, 1, strings.Count(text, `msg="lines about refusals were left out" peer=self lines=490`), request)

			for range 11 {
				d.call(request)
			}
			require.NoError(t, d.end())
			require.Equal(t, 1, strings.Count(log.String(), "lines=1\n"), "the drain reports what is left")
		})
	}
}
