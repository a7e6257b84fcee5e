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

// LogLevel returns log-level-get and log-level-set for a level that a slog.Handler uses. A level that was
// set for a limited time is reset when the time has passed, unless the level was set again meanwhile.
func LogLevel(level *slog.LevelVar) []mgr.Command {
	l := &logLevel{level: level}
	return []mgr.Command{
		mgr.Func("log-level-get", "Return the log level.", mgr.Read, l.get),
		mgr.Func("log-level-set", "Set the log level, until the next start or for a limited time.", mgr.Write, l.set,
			mgr.Example(`{"level":"debug"}`), mgr.Example(`{"level":"debug","for":"5m"}`)),
	}
}

// A logLevel is a level, and, while a temporary level is set, the level after that.
type logLevel struct {
	level *slog.LevelVar

	mu        sync.Mutex
	temporary *temporaryLevel // nil: the level is permanent
}

// A temporaryLevel is a level that was set for a limited time.
type temporaryLevel struct {
	level, permanent slog.Level
	until            time.Time
	timer            *time.Timer
}

type logLevelIn struct {
	Level string `json:"level" doc:"The least level that is logged." schema:"enum=debug|info|warn|error"`
	For   string `json:"for,omitzero" doc:"For how long, such as 90s or 5m, at most 24h; missing: until the next start."`
}

type logLevelOut struct {
	Level string    `json:"level" schema:"enum=debug|info|warn|error"`
	Until time.Time `json:"until,omitzero" doc:"When the level is reset; missing: it is permanent."`
	Then  string    `json:"then,omitzero" doc:"The level after that."`
}

func (l *logLevel) get(context.Context, mgr.None) (logLevelOut, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.currentLocked(), nil
}

func (l *logLevel) set(_ context.Context, in logLevelIn) (mgr.Result[logLevelOut], error) {
	var next slog.Level
	if err := next.UnmarshalText([]byte(in.Level)); err != nil {
		return mgr.Result[logLevelOut]{}, err
	}
	duration, bad := durationOf(in.For)
	if bad != nil {
		return mgr.Result[logLevelOut]{}, bad
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	permanent := l.stopLocked()
	l.level.Set(next)
	text := "Log level is now " + in.Level + "."
	if duration > 0 {
		p := &temporaryLevel{level: next, permanent: permanent, until: time.Now().Add(duration)}
		p.timer = time.AfterFunc(duration, func() { l.end(p) })
		l.temporary = p
		text = fmt.Sprintf("Log level is now %s, and in %s it is %s again.", in.Level, duration, name(permanent))
	}
	return mgr.Result[logLevelOut]{Text: text, Arguments: l.currentLocked()}, nil
}

const longestTemporary = 24 * time.Hour

// durationOf returns the duration in text; 0 for an empty text: the level is permanent.
func durationOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > longestTemporary {
		bad := wire.Errorf(wire.CodeError, "bad-arguments", "'for' parameter: %q is no time such as 90s, 5m or 2h, of at most 24h", wire.Shorten(text))
		bad.Fields = []wire.Field{{Pointer: "/for", Text: bad.Text}}
		return 0, bad
	}
	return d, nil
}

// stopLocked ends a temporary level without resetting it, and returns the permanent level. The caller holds l.mu.
func (l *logLevel) stopLocked() slog.Level {
	p := l.temporary
	l.temporary = nil
	if p == nil {
		return l.level.Level()
	}
	p.timer.Stop()
	if now := l.level.Level(); now != p.level { // it was set again
		return now
	}
	return p.permanent
}

// end resets the level, if p is still in force.
func (l *logLevel) end(p *temporaryLevel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.temporary == p {
		l.level.Set(l.stopLocked())
	}
}

// currentLocked describes the level. The caller holds l.mu.
func (l *logLevel) currentLocked() logLevelOut {
	now := l.level.Level()
	out := logLevelOut{Level: name(now)}
	if p := l.temporary; p != nil && p.level == now {
		out.Until, out.Then = p.until.UTC(), name(p.permanent)
	}
	return out
}

func name(level slog.Level) string { return strings.ToLower(level.String()) }
