package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A logFile writes the log to a file with mode 0600, or to standard error. Its methods may be called concurrently.
//
// A line that could not be written is called unwritten. The logFile counts it, and writes it to standard error if the
// file failed. The next write that succeeds first writes a line with the number of unwritten lines.
type logFile struct {
	path   string // empty: standard error
	trust  []uint32
	stderr io.Writer

	mu         sync.Mutex
	file       *os.File
	format     func(slog.Record) []byte // formats the logFile's own lines; nil: it writes none
	unwritten  int64                    // number of lines since the daemon started
	unreported int64                    // number of unwritten lines since the last report of them
	cause      error                    // the last error of a write
	partial    bool                     // the last write ended within a line
}

// openLog opens a log file.
func openLog(path string, stderr io.Writer) (*logFile, error) {
	l := &logFile{path: path, stderr: stderr}
	return l, l.Reopen()
}

// Reopen opens the file by its name, after the open one was renamed (logrotate). On an error the open file stays in
// use.
func (l *logFile) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return nil
	}
	f, err := openAppend(l.path, l.trust)
	if err != nil {
		return fmt.Errorf("log-file: %w", err)
	}
	old := l.file
	l.file = f
	l.partial = l.partial && sameFile(old, f)
	if old != nil {
		return old.Close()
	}
	return nil
}

// sameFile reports whether two descriptors refer to the same file. Either may be nil.
func sameFile(a, b *os.File) bool {
	if a == nil || b == nil {
		return false
	}
	first, err := a.Stat()
	if err != nil {
		return false
	}
	second, err := b.Stat()
	return err == nil && os.SameFile(first, second)
}

// setFormat sets the function that formats the logFile's own lines.
func (l *logFile) setFormat(format func(slog.Record) []byte) {
	l.mu.Lock()
	l.format = format
	l.mu.Unlock()
}

// Unwritten returns the number of lines that could not be written since the daemon started.
func (l *logFile) Unwritten() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unwritten
}

// swap makes the log continue in another file, or on standard error if f is nil. It closes the old file.
func (l *logFile) swap(path string, f *os.File) {
	l.mu.Lock()
	old := l.file
	l.path, l.file, l.partial = path, f, false
	l.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// openAppend opens a regular file for appending, or creates it with mode 0600. It refuses a symbolic link, and a path
// that another user could change, because that user could make the daemon write to any file.
func openAppend(path string, trust []uint32) (*os.File, error) {
	f, _, err := trustedpath.Rules{Log: true, MaxLinks: 1, TrustOwners: trust}.Open(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return f, err
}

// Write implements io.Writer. line is one line. It returns the error of the file, even if standard error took the line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out io.Writer = l.file
	if l.file == nil {
		out = l.stderr
	}
	head, text := 0, line
	if l.partial || l.unreported > 0 {
		text = l.prefixLocked()
		head = len(text)
		text = append(text, line...)
	}
	n, err := out.Write(text)
	if n > 0 {
		l.partial = text[n-1] != '\n'
	}
	if err == nil || n >= head {
		l.unreported = 0
	}
	if err == nil {
		return len(line), nil
	}
	if l.file != nil {
		if l.unreported == 0 {
			_, _ = l.stderr.Write(l.formatOwnLineLocked(slog.LevelError, "log-file cannot be written; until it can, lines go to standard error",
				slog.Any("error", err)))
		}
		_, _ = l.stderr.Write(line)
	}
	l.countUnwrittenLocked(1, err)
	return max(n-head, 0), err
}

// prefixLocked returns the text before the next line: the end of a partial line, and the number of unwritten lines.
func (l *logFile) prefixLocked() (before []byte) {
	if l.partial {
		before = append(before, '\n')
	}
	if l.unreported > 0 {
		before = append(before, l.formatOwnLineLocked(slog.LevelWarn, "lines could not be written",
			slog.Int64("lines", l.unreported), slog.Any("error", l.cause))...)
	}
	return before
}

// formatOwnLineLocked formats a line of the logFile itself, at any log level.
func (l *logFile) formatOwnLineLocked(level slog.Level, message string, attrs ...slog.Attr) []byte {
	if l.format == nil {
		return nil
	}
	r := slog.NewRecord(time.Now(), level, message, 0)
	r.AddAttrs(attrs...)
	return l.format(r)
}

// countUnwrittenLocked counts lines that could not be written.
func (l *logFile) countUnwrittenLocked(lines int64, cause error) {
	l.unwritten += lines
	l.unreported += lines
	l.cause = cause
}

// Close closes the file. Later lines go to standard error.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.file
	l.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// A countingWriter writes to standard output. It adds lines that could not be written to those of the log.
type countingWriter struct {
	io.Writer
	log *logFile
}

// Write implements io.Writer.
func (c countingWriter) Write(text []byte) (int, error) {
	n, err := c.Writer.Write(text)
	if err != nil {
		c.log.mu.Lock()
		c.log.countUnwrittenLocked(int64(bytes.Count(text[n:], []byte("\n"))), err)
		c.log.mu.Unlock()
	}
	return n, err
}

// formatRecord returns a record in the format of the log.
func (c *Config) formatRecord(r slog.Record) []byte {
	var line bytes.Buffer
	_ = c.logHandler(&line, nil).Handle(context.Background(), r)
	return line.Bytes()
}

// A logHandler is the handler of the daemon's log. Its format can change while it is in use.
type logHandler struct {
	current     *atomic.Pointer[slog.Handler]
	derivations []func(slog.Handler) slog.Handler // WithAttrs and WithGroup calls, in order
}

func newLogHandler(h slog.Handler) *logHandler {
	l := &logHandler{current: new(atomic.Pointer[slog.Handler])}
	l.current.Store(&h)
	return l
}

// Replace makes h write all later records.
func (l *logHandler) Replace(h slog.Handler) { l.current.Store(&h) }

// Enabled implements slog.Handler.
func (l *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.current.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *logHandler) Handle(ctx context.Context, r slog.Record) error {
	h := *l.current.Load()
	for _, with := range l.derivations {
		h = with(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.derive(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (l *logHandler) WithGroup(name string) slog.Handler {
	return l.derive(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *logHandler) derive(with func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{l.current, append(l.derivations[:len(l.derivations):len(l.derivations)], with)}
}
