//go:build unix

package netfd

import (
	"io"
	"syscall"
)

// supported reports whether the system has descriptors that these functions can use.
const supported = true

// read reads from a non-blocking descriptor. The end of the stream is io.EOF.
func read(fd uintptr, p []byte) (int, error) {
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

// write writes to a non-blocking descriptor as much as it takes, at least one byte.
func write(fd uintptr, p []byte) (int, error) {
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

// writev is write for several pieces.
func writev(fd uintptr, pieces [][]byte) (int, error) {
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
