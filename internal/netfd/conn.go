package netfd

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
)

// shortReadDrains reports whether a read that does not fill its buffer has emptied the descriptor, and later bytes are
// announced: epoll(7), question 9.
const shortReadDrains = runtime.GOOS == "linux"

// Conn uses the descriptor of a connection that its owner reads, writes and closes. It is a field of the owner and must
// not be copied. The zero value has no descriptor, but has a closed state.
//
// One goroutine at a time may read (WaitReadable, ReadLoop), and one may write. TryRead, TryWrite and TryWriteBuffers
// are for the callback of WaitReadable and ReadLoop. The other methods may be called from any goroutine.
type Conn struct {
	raw syscall.RawConn // nil: there is no descriptor that can be used

	// The reader goroutine uses these fields.
	readable   func(fd uintptr) (done bool) // onEvent, bound once: each method value allocates
	onReadable func() (done bool)           // the callback
	fd         uintptr                      // the descriptor, while onReadable runs

	// The writer goroutine uses these fields.
	writable func(fd uintptr) (done bool) // writeRest, bound once
	rest     []byte                       // bytes that Write has not written yet
	writeErr error

	loop   bool        // onReadable is that of ReadLoop; for the reader goroutine
	inLoop atomic.Bool // the callback of ReadLoop runs
	closed atomic.Bool // the owner closes, or has closed, the connection

	poller atomic.Pointer[Poller] // the Poller that has had the Conn; nil: none
	slot   int                    // the index of its registration; the lock of the Poller guards it
}

// Init finds the descriptor of conn, which must be a syscall.Conn. It reports whether there is one that can be used:
// there is none elsewhere than on Unix systems.
func (c *Conn) Init(conn any) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok || !supported {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	c.raw, c.readable, c.writable = raw, c.onEvent, c.writeRest
	return true
}

// HasDescriptor reports whether Init has found a descriptor. Without one, WaitReadable, ReadLoop and Write must not be
// called.
func (c *Conn) HasDescriptor() bool { return c.raw != nil }

// SetClosed records that the owner closes the connection, and reports whether it is the first call. The owner calls it
// before it closes the descriptor, and WakeParked after that.
func (c *Conn) SetClosed() (first bool) { return !c.closed.Swap(true) }

// Closed reports whether SetClosed was called.
func (c *Conn) Closed() bool { return c.closed.Load() }

// WakeParked removes the Conn from its Poller and calls its wake function, if it is parked.
func (c *Conn) WakeParked() {
	if p := c.poller.Load(); p != nil {
		p.Wake(c)
	}
}

// InLoop reports whether the callback of ReadLoop runs. The descriptor cannot be closed until it has returned.
func (c *Conn) InLoop() bool { return c.inLoop.Load() }

// WaitReadable calls onReadable at once, and then each time when the descriptor can be read, until onReadable returns
// true. The error is that of the read deadline or of Close.
func (c *Conn) WaitReadable(onReadable func() (done bool)) error {
	c.onReadable, c.loop = onReadable, false
	return c.raw.Read(c.readable)
}

// ReadLoop is WaitReadable for a callback that handles what it reads, and so may run for a long time. InLoop is true
// while the callback runs.
func (c *Conn) ReadLoop(onReadable func() (done bool)) error {
	c.onReadable, c.loop = onReadable, true
	return c.raw.Read(c.readable)
}

// onEvent runs the callback. The runtime holds the read lock of the descriptor meanwhile.
func (c *Conn) onEvent(fd uintptr) (done bool) {
	c.fd = fd
	if !c.loop {
		return c.onReadable()
	}
	c.inLoop.Store(true)
	done = c.onReadable()
	c.inLoop.Store(false)
	return done
}

// TryRead reads into p, which must not be empty, without blocking. n is 0 and err nil when there is nothing to read.
// drained reports that the read has emptied the descriptor, and the next bytes are announced. The end of the stream is
// io.EOF.
func (c *Conn) TryRead(p []byte) (n int, drained bool, err error) {
	n, err = read(c.fd, p)
	if err == syscall.EAGAIN { //nolint:errorlint // nothing wraps it, and this is the hot path
		return 0, false, nil
	}
	return n, shortReadDrains && n < len(p), err
}

// TryWrite writes as much of p as the socket buffer takes, without blocking, and returns the number of bytes.
func (c *Conn) TryWrite(p []byte) (n int, err error) { return tryWrite(c.fd, p) }

// TryWriteBuffers writes as much of buffers as the socket buffer takes, without blocking, and returns the rest. It
// changes buffers.
func (c *Conn) TryWriteBuffers(buffers net.Buffers) (rest net.Buffers, err error) {
	for len(buffers) > 0 {
		n, err := writev(c.fd, buffers)
		if err == syscall.EAGAIN { //nolint:errorlint // nothing wraps it
			return buffers, nil
		}
		if err != nil {
			return buffers, err
		}
		for len(buffers) > 0 && n >= len(buffers[0]) {
			n -= len(buffers[0])
			buffers = buffers[1:]
		}
		if len(buffers) > 0 {
			buffers[0] = buffers[0][n:]
		}
	}
	return nil, nil
}

// Write writes p. It blocks while the socket buffer is full, until the write deadline. It tells the runtime of no system
// call, because none blocks.
func (c *Conn) Write(p []byte) (int, error) {
	c.rest, c.writeErr = p, nil
	err := c.raw.Write(c.writable)
	if err == nil {
		err = c.writeErr
	}
	n := len(p) - len(c.rest)
	c.rest = nil
	return n, err
}

// writeRest writes as much of the rest as the socket buffer takes, and reports whether Write is done.
func (c *Conn) writeRest(fd uintptr) (done bool) {
	n, err := tryWrite(fd, c.rest)
	c.rest, c.writeErr = c.rest[n:], err
	return err != nil || len(c.rest) == 0
}

// tryWrite writes as much of p as the socket buffer takes, and returns the number of bytes.
func tryWrite(fd uintptr, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := write(fd, p[n:])
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
