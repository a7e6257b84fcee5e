package std

import (
	"context"
	"log/slog"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
)

type logLevel struct {
	Level string `json:"level" doc:"How much is logged." schema:"enum=debug|info|warn|error"`
}

// LogLevel returns log-level-get and log-level-set for a level that a slog.Handler follows.
func LogLevel(level *slog.LevelVar) []mgr.Command {
	current := func() logLevel { return logLevel{strings.ToLower(level.Level().String())} }
	return []mgr.Command{
		mgr.Func("log-level-get", "Return how much is logged.", mgr.Read,
			func(context.Context, mgr.None) (logLevel, error) { return current(), nil }, mgr.AnyArguments()),
		mgr.Func("log-level-set", "Set how much is logged, until the next start.", mgr.Write,
			func(_ context.Context, in logLevel) (mgr.Result[logLevel], error) {
				var l slog.Level
				if err := l.UnmarshalText([]byte(in.Level)); err != nil {
					return mgr.Result[logLevel]{}, err
				}
				level.Set(l)
				return mgr.Result[logLevel]{Text: "Log level is now " + in.Level + ".", Arguments: current()}, nil
			}, mgr.Example(`{"level":"debug"}`)),
	}
}
