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

// capacity is the size of the buffer in each direction, in bytes.
const capacity = 64 << 10

// An End is one end of a byte stream in memory. It is a net.Conn with CloseWrite, as a TCP connection. One Read and one
// Write may run at the same time. The other methods may be called from any goroutine at any time.
type End struct {
	mu   *sync.Mutex // shared by both ends
	peer *End

	arrived   bytes.Buffer // bytes that the peer has written and this end has not read
	changed   sync.Cond    // wakes a Read of this end and a Write of the peer
	written   bool         // CloseWrite or Close was called
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

// Read implements net.Conn. It returns the bytes that have arrived before the io.EOF of a close of the peer. A deadline
// that has passed comes before both.
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
			e.changed.Broadcast() // a Write of the peer may continue
			return n, err
		case e.peer.written:
			return 0, io.EOF
		}
		e.changed.Wait()
	}
}

// Write implements net.Conn. It blocks until the last byte of p is in the buffer.
func (e *End) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	written := 0
	for {
		switch {
		case e.closed:
			return written, failed("write", net.ErrClosed)
		case e.written || e.peer.closed:
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

// CloseWrite closes the writing half: the peer reads io.EOF after the bytes that were written. The error is net.ErrClosed
// after Close.
func (e *End) CloseWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return failed("close", net.ErrClosed)
	}
	e.written = true
	e.wake()
	return nil
}

// Close implements net.Conn. The peer can still read the bytes that were written. The bytes that the peer wrote and this
// end has not read are lost.
func (e *End) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return failed("close", net.ErrClosed)
	}
	e.written, e.closed = true, true
	e.arrived = bytes.Buffer{}
	e.readTime.clear()
	e.writeTime.clear()
	e.wake()
	return nil
}

// PeerClosed reports whether the peer has closed its end and so cannot read. It is false after CloseWrite of the peer.
func (e *End) PeerClosed() bool {
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

// wake wakes the blocked reads and writes of both ends.
func (e *End) wake() {
	e.changed.Broadcast()
	e.peer.changed.Broadcast()
}
