package std

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"
)

// LogLevel returns log-level-get and log-level-set for a level that a slog.Handler follows. One that is
// set for a while goes back by itself, unless somebody else has set the level meanwhile.
func LogLevel(level *slog.LevelVar) []mgr.Command {
	l := &logLevel{level: level}
	return []mgr.Command{
		mgr.Func("log-level-get", "Return how much is logged.", mgr.Read, l.get),
		mgr.Func("log-level-set", "Set how much is logged, until the next start or for a while.", mgr.Write, l.set,
			mgr.Example(`{"level":"debug"}`), mgr.Example(`{"level":"debug","for":"5m"}`)),
	}
}

// A logLevel is a level, and, while it has been set for a while, what it goes back to.
type logLevel struct {
	level *slog.LevelVar

	mu      sync.Mutex
	passing *passing // nil: the level is to stay
}

// A passing is a level that was set for a while.
type passing struct {
	level, lasting slog.Level
	until          time.Time
	timer          *time.Timer
}

type logLevelIn struct {
	Level string `json:"level" doc:"How much is logged." schema:"enum=debug|info|warn|error"`
	For   string `json:"for,omitzero" doc:"For how long, such as 90s or 5m, at most 24h; missing: until the next start."`
}

type logLevelOut struct {
	Level string    `json:"level" schema:"enum=debug|info|warn|error"`
	Until time.Time `json:"until,omitzero" doc:"When the level goes back; missing: it stays."`
	Then  string    `json:"then,omitzero" doc:"What it goes back to."`
}

func (l *logLevel) get(context.Context, mgr.None) (logLevelOut, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current(), nil
}

func (l *logLevel) set(_ context.Context, in logLevelIn) (mgr.Result[logLevelOut], error) {
	var next slog.Level
	if err := next.UnmarshalText([]byte(in.Level)); err != nil {
		return mgr.Result[logLevelOut]{}, err
	}
	patience, bad := patienceOf(in.For)
	if bad != nil {
		return mgr.Result[logLevelOut]{}, bad
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lasting := l.stop()
	l.level.Set(next)
	text := "Log level is now " + in.Level + "."
	if patience > 0 {
		p := &passing{level: next, lasting: lasting, until: time.Now().Add(patience)}
		p.timer = time.AfterFunc(patience, func() { l.end(p) })
		l.passing = p
		text = fmt.Sprintf("Log level is now %s, and in %s it is %s again.", in.Level, patience, name(lasting))
	}
	return mgr.Result[logLevelOut]{Text: text, Arguments: l.current()}, nil
}

const longestPassing = 24 * time.Hour

// patienceOf reads for how long; 0: to stay.
func patienceOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > longestPassing {
		bad := wire.Errorf(wire.CodeError, "bad-arguments", "'for' parameter: %q is no time such as 90s, 5m or 2h, of at most 24h", wire.Shorten(text))
		bad.Fields = []wire.Field{{Pointer: "/for", Text: bad.Text}}
		return 0, bad
	}
	return d, nil
}

// stop ends what was set for a while, without setting it back, and returns the level that is to stay.
// l.mu is held.
func (l *logLevel) stop() slog.Level {
	p := l.passing
	l.passing = nil
	if p == nil {
		return l.level.Level()
	}
	p.timer.Stop()
	if now := l.level.Level(); now != p.level { // somebody else has set it
		return now
	}
	return p.lasting
}

// end sets the level back, if p is still what is in force.
func (l *logLevel) end(p *passing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.passing == p {
		l.level.Set(l.stop())
	}
}

// current describes the level. l.mu is held.
func (l *logLevel) current() logLevelOut {
	now := l.level.Level()
	out := logLevelOut{Level: name(now)}
	if p := l.passing; p != nil && p.level == now {
		out.Until, out.Then = p.until.UTC(), name(p.lasting)
	}
	return out
}

func name(level slog.Level) string { return strings.ToLower(level.String()) }
