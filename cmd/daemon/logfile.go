package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A logFile writes the log to a file with mode 0600, or to standard error. Any goroutine may call it.
//
// A line that the file or standard error does not take is unwritten. The logFile counts it, and writes it to standard
// error if the file failed. The next write that succeeds writes a line with the number of unwritten lines first.
type logFile struct {
	path   string // empty: standard error
	trust  []uint32
	stderr io.Writer

	mu        sync.Mutex
	file      *os.File
	format    func(slog.Record) []byte // formats the logFile's own lines; nil: it writes none
	unwritten int64                    // since the daemon started
	unlogged  int64                    // of unwritten, those since the last line that said how many
	cause     error                    // the last error of a write
	partial   bool                     // the last write ended within a line
}

// openLog opens the log.
func openLog(path string, stderr io.Writer) (*logFile, error) {
	l := &logFile{path: path, stderr: stderr}
	return l, l.Reopen()
}

// Reopen opens the file by its name, for when the one that is open has been renamed (logrotate). On an
// error that one stays in use.
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

// sameFile reports whether two descriptors are of one file. Either may be nil.
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

// swap writes to another file from now on, or, where path is empty, to standard error.
func (l *logFile) swap(path string, f *os.File) {
	l.mu.Lock()
	old := l.file
	l.path, l.file, l.partial = path, f, false
	l.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// openAppend opens a regular file at its end, or makes it with mode 0600. A symbolic link is refused, and so is a path that
// another user could change: the daemon would write to a file that this user chooses.
func openAppend(path string, trust []uint32) (*os.File, error) {
	f, _, err := trustedpath.Rules{Log: true, MaxLinks: 1, TrustOwners: trust}.Open(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return f, err
}

// Write implements io.Writer. line is one line. It returns the error of the file, also when standard error took the line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out io.Writer = l.file
	if l.file == nil {
		out = l.stderr
	}
	head, text := 0, line
	if l.partial || l.unlogged > 0 {
		text = l.beforeNextLineLocked()
		head = len(text)
		text = append(text, line...)
	}
	n, err := out.Write(text)
	if n > 0 {
		l.partial = text[n-1] != '\n'
	}
	if err == nil || n >= head {
		l.unlogged = 0
	}
	if err == nil {
		return len(line), nil
	}
	if l.file != nil {
		if l.unlogged == 0 {
			_, _ = l.stderr.Write(l.ownLineLocked(slog.LevelError, "log-file cannot be written; until it can, lines go to standard error",
				slog.Any("error", err)))
		}
		_, _ = l.stderr.Write(line)
	}
	l.missedLocked(1, err)
	return max(n-head, 0), err
}

// beforeNextLineLocked returns what the next write writes before its line: the end of a partial line, and the number of
// unwritten lines.
func (l *logFile) beforeNextLineLocked() (before []byte) {
	if l.partial {
		before = append(before, '\n')
	}
	if l.unlogged > 0 {
		before = append(before, l.ownLineLocked(slog.LevelWarn, "lines could not be written",
			slog.Int64("lines", l.unlogged), slog.Any("error", l.cause))...)
	}
	return before
}

// ownLineLocked formats a line of the logFile's own, whatever the log level.
func (l *logFile) ownLineLocked(level slog.Level, message string, attrs ...slog.Attr) []byte {
	if l.format == nil {
		return nil
	}
	r := slog.NewRecord(time.Now(), level, message, 0)
	r.AddAttrs(attrs...)
	return l.format(r)
}

// missedLocked counts lines that could not be written.
func (l *logFile) missedLocked(lines int64, cause error) {
	l.unwritten += lines
	l.unlogged += lines
	l.cause = cause
}

// Close closes the file. What is logged after that goes to standard error.
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

// A lineCounter writes to standard output. It counts lines that could not be written among those of the log.
type lineCounter struct {
	io.Writer
	log *logFile
}

// Write implements io.Writer.
func (c lineCounter) Write(text []byte) (int, error) {
	n, err := c.Writer.Write(text)
	if err != nil {
		c.log.mu.Lock()
		c.log.missedLocked(int64(bytes.Count(text[n:], []byte("\n"))), err)
		c.log.mu.Unlock()
	}
	return n, err
}

// formatRecord formats a record as the log does.
func (c *Config) formatRecord(r slog.Record) []byte {
	var line bytes.Buffer
	_ = c.logHandler(&line, nil).Handle(context.Background(), r)
	return line.Bytes()
}
