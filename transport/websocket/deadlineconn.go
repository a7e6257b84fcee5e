package websocket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
)

var noDeadline time.Time

// A deadlineConn is the connection below gorilla. It sets the read deadlines of messages, can interrupt a read, and
// can collect small writes into one.
type deadlineConn struct {
	net.Conn
	idle, frame time.Duration // how long the first message, and each message, may take; 0: no limit
	dataArrived atomic.Bool   // bytes have arrived since the last ping timer

	// Used only by the holder of the readLock.
	received     bool      // a message was complete
	inMessage    bool      // a message has begun and is not complete
	messageStart time.Time // when a read for the rest of that message began; zero: it has not
	deadline     time.Time // the read deadline
	timedOut     bool      // a read has ended by the deadline
	failed       bool      // the connection is broken
	end          error     // of all further reads; nil: none

	reading       sync.Mutex // guards the deadline of the connection, and the next three
	closeDeadline time.Time  // replaces deadline after Close; zero: not closed
	interruptible bool       // a read may be interrupted
	interrupted   bool       // the deadline is in the past because of interrupt

	writing sync.Mutex
	batch   []byte // collected writes; nil: Write writes at once
}

// Read implements net.Conn.
func (l *deadlineConn) Read(p []byte) (int, error) {
	if l.end != nil {
		return 0, l.end
	}
	if err := l.limit(); err != nil {
		l.failed = true
		return 0, err
	}
	n, err := l.Conn.Read(p)
	if n > 0 && !l.dataArrived.Load() {
		l.dataArrived.Store(true)
	}
	if err != nil {
		l.timedOut = errors.Is(err, os.ErrDeadlineExceeded)
		l.failed = !l.timedOut && !errors.Is(err, io.EOF)
		if !l.isInterrupted() {
			l.end = err
		}
	}
	return n, err
}

// limit sets the read deadline for the next read, if it has changed.
func (l *deadlineConn) limit() error {
	var want time.Time
	if !l.received && l.idle > 0 {
		want = time.Now().Add(l.idle)
	}
	if l.inMessage && l.frame > 0 {
		if l.messageStart.IsZero() {
			l.messageStart = time.Now()
		}
		if end := l.messageStart.Add(l.frame); want.IsZero() || end.Before(want) {
			want = end
		}
	}
	if want.Equal(l.deadline) {
		return nil
	}
	l.deadline = want
	l.reading.Lock()
	defer l.reading.Unlock()
	if !l.closeDeadline.IsZero() || l.interrupted {
		return nil
	}
	return l.SetReadDeadline(want)
}

// allowInterrupt lets interrupt end a Read, until forbidInterrupt.
func (l *deadlineConn) allowInterrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.interruptible = true
}

// forbidInterrupt restores the deadline after an interrupt.
func (l *deadlineConn) forbidInterrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.interruptible = false
	if !l.interrupted {
		return
	}
	l.interrupted, l.timedOut = false, false
	if l.closeDeadline.IsZero() {
		_ = l.SetReadDeadline(l.deadline)
	} else {
		_ = l.SetReadDeadline(l.closeDeadline)
	}
}

// isInterrupted reports whether a Read was interrupted.
func (l *deadlineConn) isInterrupted() bool {
	l.reading.Lock()
	defer l.reading.Unlock()
	return l.interrupted
}

// interrupt ends a Read that may be interrupted. No bytes are lost.
func (l *deadlineConn) interrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.interruptible {
		l.interrupted = true
		_ = l.SetReadDeadline(ctxio.LongAgo)
	}
}

// beginMessage notes the first byte of a message.
func (l *deadlineConn) beginMessage() { l.inMessage = true }

// endMessage notes that the message is complete.
func (l *deadlineConn) endMessage() {
	l.received, l.inMessage, l.messageStart = true, false, noDeadline
}

// closeAfter ends all reads after d.
func (l *deadlineConn) closeAfter(d time.Duration) {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.closeDeadline = time.Now().Add(d)
	if !l.interrupted {
		_ = l.SetReadDeadline(l.closeDeadline)
	}
}

// SetWriteDeadline implements net.Conn. It ignores the zero time: gorilla sets it before each message, and would
// remove the deadline of a context.
func (l *deadlineConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return l.Conn.SetWriteDeadline(t)
}

// maxBatch is the longest batch in bytes.
const maxBatch = 64 << 10

var batchBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBuffer); return &b }}

// Write implements net.Conn.
func (l *deadlineConn) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.batch == nil {
		return l.Conn.Write(p)
	}
	large := len(p) > maxBatch/2
	if large || len(l.batch)+len(p) > maxBatch {
		if err := l.flush(); err != nil {
			return 0, err
		}
	}
	if large {
		return l.Conn.Write(p)
	}
	l.batch = append(l.batch, p...)
	return len(p), nil
}

// writeTogether calls write, and writes all that it has written with one system call, or one for each maxBatch.
func (l *deadlineConn) writeTogether(write func() error) error {
	buf := batchBuffers.Get().(*[]byte)
	l.writing.Lock()
	l.batch = (*buf)[:0]
	l.writing.Unlock()
	err := write()
	l.writing.Lock()
	defer l.writing.Unlock()
	if err == nil {
		err = l.flush()
	}
	*buf = l.batch[:0]
	l.batch = nil
	batchBuffers.Put(buf)
	return err
}

// flush writes the batch. The caller holds l.writing.
func (l *deadlineConn) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	_, err := l.Conn.Write(l.batch)
	l.batch = l.batch[:0]
	return err
}
