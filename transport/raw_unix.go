//go:build unix

package transport

import (
	"io"
	"syscall"
)

const canRaw = true

// readRaw reads from a descriptor that does not block. The end of the stream is io.EOF.
func readRaw(fd uintptr, p []byte) (int, error) {
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

// writeRaw writes to a descriptor that does not block as much as it takes, at least one byte.
func writeRaw(fd uintptr, p []byte) (int, error) {
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

// writeAllRaw is writeRaw for several pieces.
func writeAllRaw(fd uintptr, pieces [][]byte) (int, error) {
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
