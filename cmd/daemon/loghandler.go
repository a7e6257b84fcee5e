package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// A logHandler is the handler of the daemon's log, whose format may change while it is in use.
type logHandler struct {
	current *atomic.Pointer[slog.Handler]
	with    []func(slog.Handler) slog.Handler // attributes and groups, in their order
}

func newLogHandler(h slog.Handler) *logHandler {
	l := &logHandler{current: new(atomic.Pointer[slog.Handler])}
	l.current.Store(&h)
	return l
}

// Replace makes another handler write what is logged from now on.
func (l *logHandler) Replace(h slog.Handler) { l.current.Store(&h) }

// Enabled implements slog.Handler.
func (l *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.current.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *logHandler) Handle(ctx context.Context, r slog.Record) error {
	h := *l.current.Load()
	for _, with := range l.with {
		h = with(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (l *logHandler) WithGroup(name string) slog.Handler {
	return l.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *logHandler) and(with func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{l.current, append(l.with[:len(l.with):len(l.with)], with)}
}
