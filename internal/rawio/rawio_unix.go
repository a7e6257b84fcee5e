//go:build unix

// Package rawio reads from and writes to descriptors that do not block, which the runtime therefore need not be
// told of: telling it costs a wake-up of its monitor thread each time when the process was idle.
package rawio

import (
	"io"
	"syscall"
)

// Can reports whether there are descriptors that can be used so.
const Can = true

// Read reads from a descriptor that does not block. The end of the stream is io.EOF.
func Read(fd uintptr, p []byte) (int, error) {
	for {
		n, err := sysRead(fd, p)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // nothing wraps it
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes to a descriptor that does not block as much as it takes, at least one byte.
func Write(fd uintptr, p []byte) (int, error) {
	for {
		n, err := sysWrite(fd, p)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // nothing wraps it
			continue
		case err != nil:
			return 0, err
		}
		return n, nil
	}
}

// Writev is Write for several pieces.
func Writev(fd uintptr, pieces [][]byte) (int, error) {
	for {
		n, err := sysWritev(fd, pieces)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // nothing wraps it
			continue
		case err != nil:
			return 0, err
		}
		return n, nil
	}
}
