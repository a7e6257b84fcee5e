package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/rudderpost/rudderpost/internal/trustedpath"
)

// A logFile is where the log goes: a file that is made for nobody else, or standard error. It may be
// written to from any goroutine. What cannot be written to the file goes to standard error too.
type logFile struct {
	path   string // empty: standard error
	trust  []uint32
	stderr io.Writer

	mu   sync.Mutex
	file *os.File
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
	if old != nil {
		return old.Close()
	}
	return nil
}

// swap writes to another file from now on, or, where path is empty, to standard error.
func (l *logFile) swap(path string, f *os.File) {
	l.mu.Lock()
	old := l.file
	l.path, l.file = path, f
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

// Write implements io.Writer.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.stderr.Write(line)
	}
	n, err := l.file.Write(line)
	if err != nil {
		_, _ = l.stderr.Write(line)
	}
	return n, err
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
