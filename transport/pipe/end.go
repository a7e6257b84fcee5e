package pipe

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// capacity is how many bytes are under way in one direction before a write waits.
const capacity = 64 << 10

// An End is one end of a stream of bytes in memory, a net.Conn that can be half-closed. Reads and
// writes may overlap, and everything else may happen at any time.
type End struct {
	mu   *sync.Mutex // shared by both ends
	peer *End

	arrived   bytes.Buffer // written by the peer, not yet read
	changed   sync.Cond    // something that a read of this end or a write of the peer waits for
	said      bool         // CloseWrite or Close was called
	closed    bool         // Close was called
	readTime  limit
	writeTime limit
}

// newPair returns two ends that are connected with each other.
func newPair() (a, b *End) {
	mu := new(sync.Mutex)
	a, b = &End{mu: mu}, &End{mu: mu}
	a.peer, b.peer = b, a
	a.changed.L, b.changed.L = mu, mu
	return a, b
}

// Read implements net.Conn. Bytes that have arrived count more than the peer's close, a limit that
// has passed more than both.
func (e *End) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, failed("read", net.ErrClosed)
		case e.readTime.over:
			return 0, failed("read", os.ErrDeadlineExceeded)
		case len(p) == 0:
			return 0, nil
		case e.arrived.Len() > 0:
			n, err := e.arrived.Read(p)
			e.changed.Broadcast() // a write of the peer may go on
			return n, err
		case e.peer.said:
			return 0, io.EOF
		}
		e.changed.Wait()
	}
}

// Write implements net.Conn. It waits until the last byte of p has its place in the buffer.
func (e *End) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	written := 0
	for {
		switch {
		case e.closed:
			return written, failed("write", net.ErrClosed)
		case e.said || e.peer.closed:
			return written, failed("write", syscall.EPIPE)
		case e.writeTime.over:
			return written, failed("write", os.ErrDeadlineExceeded)
		}
		if room := capacity - e.peer.arrived.Len(); room > 0 && written < len(p) {
			n, _ := e.peer.arrived.Write(p[written:min(len(p), written+room)])
			written += n
			e.peer.changed.Broadcast()
		}
		if written == len(p) {
			return written, nil
		}
		e.peer.changed.Wait()
	}
}

// CloseWrite says that no byte will follow: the peer reads io.EOF after those that were written.
func (e *End) CloseWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return failed("close", net.ErrClosed)
	}
	e.said = true
	e.wake()
	return nil
}

// Close implements net.Conn. What was written can still be read by the peer; what the peer wrote
// and nobody has read is lost.
func (e *End) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return failed("close", net.ErrClosed)
	}
	e.said, e.closed = true, true
	e.arrived = bytes.Buffer{}
	e.readTime.clear()
	e.writeTime.clear()
	e.wake()
	return nil
}

// Gone reports whether the peer has closed its end, so that it cannot hear us; it may have said its
// last word without that.
func (e *End) Gone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peer.closed
}

// SetDeadline implements net.Conn.
func (e *End) SetDeadline(t time.Time) error {
	if err := e.SetReadDeadline(t); err != nil {
		return err
	}
	return e.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (e *End) SetReadDeadline(t time.Time) error { return e.limit(&e.readTime, t) }

// SetWriteDeadline implements net.Conn.
func (e *End) SetWriteDeadline(t time.Time) error { return e.limit(&e.writeTime, t) }

func (e *End) limit(l *limit, t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return failed("set", net.ErrClosed)
	}
	l.set(t, e)
	return nil
}

// LocalAddr implements net.Conn.
func (e *End) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements net.Conn.
func (e *End) RemoteAddr() net.Addr { return addr{} }

// wake lets everyone look again: this end's reads and writes and the peer's.
func (e *End) wake() {
	e.changed.Broadcast()
	e.peer.changed.Broadcast()
}
