package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// A logFile is where the log goes: a file that is made for nobody else, or standard error. It may be
// written to from any goroutine. What cannot be written to the file goes to standard error too.
type logFile struct {
	path   string // empty: standard error
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
	f, err := openAppend(l.path)
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

// openAppend opens a regular file at its end, or makes it. A link is refused: who may write in the
// directory could so have the daemon write elsewhere.
func openAppend(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%v)", path, info.Mode())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
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
