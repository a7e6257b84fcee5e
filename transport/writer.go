package transport

import (
	"net"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/rawio"
)

// A writer writes to a byte stream, where it can without telling the runtime that it may block: it asks
// the descriptor, and waits only when that takes no more.
type writer struct {
	stream ByteStream
	raw    syscall.RawConn // set where the stream can be written without waiting
	try    func(fd uintptr) bool
	left   []byte // what try has not written
	err    error  // what try found
}

func (w *writer) init(b ByteStream, raw syscall.RawConn) {
	w.stream, w.raw = b, raw
	if raw != nil {
		w.try = w.tryWrite
	}
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.raw == nil {
		return w.stream.Write(p)
	}
	w.left, w.err = p, nil
	err := w.raw.Write(w.try)
	if err == nil {
		err = w.err
	}
	n := len(p) - len(w.left)
	w.left = nil
	return n, err
}

// tryWrite writes what the descriptor takes.
func (w *writer) tryWrite(fd uintptr) (done bool) {
	n, err := tryWrite(fd, w.left)
	w.left, w.err = w.left[n:], err
	return err != nil || len(w.left) == 0
}

// tryWrite writes to a descriptor as much as it takes, and returns how much that was.
func tryWrite(fd uintptr, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := rawio.Write(fd, p[n:])
		if err == syscall.EAGAIN { //nolint:errorlint // nothing wraps it, and this is the hot path
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// tryWriteAll writes pieces to a descriptor as much as it takes, and returns what is left of them.
func tryWriteAll(fd uintptr, pieces net.Buffers) (left net.Buffers, err error) {
	for len(pieces) > 0 {
		n, err := rawio.Writev(fd, pieces)
		if err == syscall.EAGAIN { //nolint:errorlint // nothing wraps it
			return pieces, nil
		}
		if err != nil {
			return pieces, err
		}
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if len(pieces) > 0 {
			pieces[0] = pieces[0][n:]
		}
	}
	return nil, nil
}
