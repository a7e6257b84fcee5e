package mgr_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// A peer without a right cannot fill the log: it has ten lines a second about refusals of a peer, and the number of
// those that were left out. Lines about calls that were allowed are not limited.
func TestLinesAboutRefusalsAreLimitedForEachPeer(t *testing.T) {
	for _, request := range []string{`{"command":"scuttle"}`, `{"command":"no-such-command"}`, `{"colour":1}`, `x`} {
		synctest.Test(t, func(t *testing.T) {
			var log logBuffer
			d := start(t, &mgr.Options{Authorizer: captain{}, Logger: slog.New(slog.NewTextHandler(&log, nil))}, newShip().commands()...)
			for range 500 {
				d.ask(request)
			}
			for range 30 {
				require.Zero(t, d.ask(`{"command":"list-commands"}`).Result)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			text := log.String()
			require.Equal(t, 10, strings.Count(text, "msg=command")-strings.Count(text, "command=list-commands"), request)
			require.Equal(t, 30, strings.Count(text, "command=list-commands"))
			require.Equal(t, 1, strings.Count(text, `msg="lines about refusals were left out" peer=self lines=490`), request)

			for range 11 {
				d.ask(request)
			}
			require.NoError(t, d.end())
			require.Equal(t, 1, strings.Count(log.String(), "lines=1\n"), "the drain reports what is left")
		})
	}
}
