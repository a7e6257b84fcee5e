package websocket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var (
	noDeadline time.Time
	past       = time.Unix(1, 0) // any time that is over
)

// A line is the connection under gorilla: it knows how long to wait for bytes, and can hold back what
// is written until there is enough of it.
type line struct {
	net.Conn
	idle, frame time.Duration // how long a first message, and any message, may take; 0: for ever
	heard       atomic.Bool   // something has come since somebody asked

	// What only whoever has the turn to read touches.
	received  bool      // a first message was whole
	inMessage bool      // one has begun and is not whole
	began     time.Time // when that was found not to be here as a whole; zero: it was not
	deadline  time.Time // what the read deadline is set to
	timedOut  bool      // waiting has ended by it
	failed    bool      // the connection is broken
	end       error     // why nothing more comes

	reading sync.Mutex // guards the read deadline
	closing time.Time  // what it is, once the conn closes
	open    bool       // whoever waits for bytes may be interrupted
	cut     bool       // and was: the deadline is over

	writing sync.Mutex
	held    []byte // what is held back; nil: nothing is
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	if l.end != nil {
		return 0, l.end
	}
	if err := l.limit(); err != nil {
		l.failed = true
		return 0, err
	}
	n, err := l.Conn.Read(p)
	if n > 0 && !l.heard.Load() {
		l.heard.Store(true)
	}
	if err != nil {
		l.timedOut = errors.Is(err, os.ErrDeadlineExceeded)
		l.failed = !l.timedOut && !errors.Is(err, io.EOF)
		if !l.isCut() {
			l.end = err
		}
	}
	return n, err
}

// limit sets the read deadline that the moment asks for, and touches it only when that changes.
func (l *line) limit() error {
	var want time.Time
	if !l.received && l.idle > 0 {
		want = time.Now().Add(l.idle)
	}
	if l.inMessage && l.frame > 0 {
		if l.began.IsZero() {
			l.began = time.Now()
		}
		if whole := l.began.Add(l.frame); want.IsZero() || whole.Before(want) {
			want = whole
		}
	}
	if want.Equal(l.deadline) {
		return nil
	}
	l.deadline = want
	l.reading.Lock()
	defer l.reading.Unlock()
	if !l.closing.IsZero() || l.cut {
		return nil
	}
	return l.SetReadDeadline(want)
}

// canInterrupt lets a Read be interrupted, until cannotInterrupt.
func (l *line) canInterrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.open = true
}

// cannotInterrupt brings back the deadline that an interruption has replaced.
func (l *line) cannotInterrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.open = false
	if !l.cut {
		return
	}
	l.cut, l.timedOut = false, false
	if l.closing.IsZero() {
		_ = l.SetReadDeadline(l.deadline)
	} else {
		_ = l.SetReadDeadline(l.closing)
	}
}

// isCut reports whether a Read has been interrupted.
func (l *line) isCut() bool {
	l.reading.Lock()
	defer l.reading.Unlock()
	return l.cut
}

// interrupt ends a Read that can be interrupted. Nothing is lost by it.
func (l *line) interrupt() {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.open {
		l.cut = true
		_ = l.SetReadDeadline(past)
	}
}

// begin notes that a message has begun.
func (l *line) begin() { l.inMessage = true }

// whole notes that it is whole.
func (l *line) whole() {
	l.received, l.inMessage, l.began = true, false, noDeadline
}

// closeSoon lets reading go on for a while, and no longer.
func (l *line) closeSoon(d time.Duration) {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.closing = time.Now().Add(d)
	if !l.cut {
		_ = l.SetReadDeadline(l.closing)
	}
}

// SetWriteDeadline implements net.Conn. Before each message gorilla sets what nobody has asked it to,
// which would undo a deadline that is here already.
func (l *line) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return l.Conn.SetWriteDeadline(t)
}

// maxHeld is the most that is held back.
const maxHeld = 64 << 10

var heldBuffers = sync.Pool{New: func() any { b := make([]byte, 0, writeBuffer); return &b }}

// Write implements net.Conn.
func (l *line) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.held == nil {
		return l.Conn.Write(p)
	}
	large := len(p) > maxHeld/2
	if large || len(l.held)+len(p) > maxHeld {
		if err := l.empty(); err != nil {
			return 0, err
		}
	}
	if large {
		return l.Conn.Write(p)
	}
	l.held = append(l.held, p...)
	return len(p), nil
}

// together calls write, and writes at once what it writes.
func (l *line) together(write func() error) error {
	buf := heldBuffers.Get().(*[]byte)
	l.writing.Lock()
	l.held = (*buf)[:0]
	l.writing.Unlock()
	err := write()
	l.writing.Lock()
	defer l.writing.Unlock()
	if err == nil {
		err = l.empty()
	}
	*buf = l.held[:0]
	l.held = nil
	heldBuffers.Put(buf)
	return err
}

// empty writes what is held back.
func (l *line) empty() error {
	if len(l.held) == 0 {
		return nil
	}
	_, err := l.Conn.Write(l.held)
	l.held = l.held[:0]
	return err
}
