package websocket

import (
	"bufio"
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
)

// A readLock says which goroutine may read from the connection. Its holder changes as follows:
//
//	from     to       when
//	reader   free     the reader has put a message into the inbox, and Receive can read (yieldRead)
//	free     Receive  Receive runs (tryLock)
//	Receive  free     Receive has a message, or has ended (unlock)
//	free     reader   Receive has found a message that it cannot read; or no Receive has run for maxIdleRead; or ctx ends
//
// Receive can read short text messages in one frame, as nearly all are. Then no other goroutine is woken for a
// message, and none reads in vain: the server reads 1.1 times for each command instead of twice, and needs 8 to 18 %
// less CPU (bench: ws, 16 and 256). All other messages stay in the buffer for the reader.
type readLock struct {
	in           *bufio.Reader // gorilla reads from it; nil: gorilla has its own buffer, and the reader always has the lock
	free         chan struct{} // has a value while the lock is free
	readerWanted chan struct{} // has a value when the reader must read
	receiveWaits atomic.Bool   // Receive waits for the inbox, because the reader has the lock
	watcher      ctxio.Watcher // of the context of Receive

	receives        atomic.Uint32 // how often Receive has locked
	receivesAtCheck atomic.Uint32 // receives at the last onIdleTimer
	timerSet        atomic.Bool   // onIdleTimer will run
	timer           *time.Timer
}

// maxIdleRead is how long no goroutine reads before the reader does; at most twice as long. For that time a ping, a
// close frame or a broken connection may not be noticed.
const maxIdleRead = 100 * time.Millisecond

func newReadLock(in *bufio.Reader) *readLock {
	t := &readLock{in: in, free: make(chan struct{}, 1), readerWanted: make(chan struct{}, 1)}
	t.timer = time.AfterFunc(time.Hour, t.onIdleTimer)
	t.timer.Stop()
	return t
}

// tryLock locks for Receive if the lock is free.
func (t *readLock) tryLock() bool {
	select {
	case <-t.free:
		t.receives.Add(1)
		return true
	default:
		return false
	}
}

// unlock frees the lock.
func (t *readLock) unlock() {
	t.free <- struct{}{}
	t.startIdleCheck()
}

// waitForReader notes that Receive waits for the inbox. It returns false if the lock has just become free: then
// Receive can lock it.
func (t *readLock) waitForReader() bool {
	t.receiveWaits.Store(true)
	if len(t.free) == 0 {
		return true
	}
	t.receiveWaits.Store(false)
	return false
}

// yieldRead frees the lock, and waits until the reader must read again.
func (c *conn) yieldRead() {
	t := c.readLock
	if t.in == nil {
		return
	}
	t.unlock()
	if !t.receiveWaits.Load() || !c.inbox.isEmpty() { // Receive takes the message that is there first
		select {
		case <-t.readerWanted:
		case <-c.ctx.Done():
		}
	}
	<-t.free
}

// startIdleCheck sets the timer, unless it is set. So the timer is not set for each message.
func (t *readLock) startIdleCheck() {
	if !t.timerSet.Load() && t.timerSet.CompareAndSwap(false, true) {
		t.timer.Reset(maxIdleRead)
	}
}

// onIdleTimer wakes the reader if no goroutine has read since the last check.
func (t *readLock) onIdleTimer() {
	t.timerSet.Store(false)
	if len(t.free) == 0 {
		return // the lock is held
	}
	if receives := t.receives.Load(); t.receivesAtCheck.Swap(receives) != receives {
		t.startIdleCheck()
		return
	}
	notify(t.readerWanted)
}

// end stops the timer of a conn that has ended.
func (t *readLock) end() {
	t.timer.Stop()
	t.watcher.Close()
}

// The first two bytes of a frame (RFC 6455, section 5.2).
const (
	wholeText = 0x81 // FIN and the opcode of a text frame
	masked    = 0x80
	length16  = 126 // the length is in the next two bytes
	length64  = 127 // the length is in the next eight bytes
)

// readDirect reads a text message that is one frame and fits into the buffer, and waits for it. The caller has the
// readLock. ok is false for any other message, which stays in the buffer, and when ctx or the conn ends.
func (c *conn) readDirect(ctx context.Context, dst []byte) (got []byte, ok bool) {
	head := c.peek(ctx, 2)
	if head == nil || head[0] != wholeText || head[1]&masked == 0 {
		return dst, false
	}
	size, start := int(head[1]&^masked), 2+4
	switch size {
	case length16:
		if head = c.peek(ctx, 4); head == nil {
			return dst, false
		}
		size, start = int(binary.BigEndian.Uint16(head[2:])), 4+4
	case length64:
		return dst, false
	}
	if size > c.cfg.maxFrame || start+size > c.readLock.in.Size() {
		return dst, false
	}
	c.sock.beginMessage()
	message := c.peek(ctx, start+size)
	if message == nil {
		return dst, false
	}
	had := len(dst)
	got = dst
	got = append(got, message[start:]...)
	for i := range got[had:] {
		got[had+i] ^= message[start-4+i&3]
	}
	frame, err := transport.Frame(got[had:])
	if err != nil {
		return dst, false
	}
	_, _ = c.readLock.in.Discard(start + size)
	c.sock.endMessage()
	return append(got[:had], frame...), true
}

// peek returns the next n bytes without taking them from the buffer; nil: ctx or the conn has ended, or the read has
// failed.
func (c *conn) peek(ctx context.Context, n int) []byte {
	if c.readLock.in.Buffered() < n {
		if ctx.Err() != nil {
			return nil
		}
		c.readLock.watcher.Watch(ctx, c.sock.interrupt)
		c.sock.allowInterrupt()
		if ctx.Err() == nil && c.ctx.Err() == nil {
			_, _ = c.readLock.in.Peek(n)
		}
		c.sock.forbidInterrupt()
		if c.readLock.in.Buffered() < n {
			return nil
		}
	}
	bytes, _ := c.readLock.in.Peek(n)
	return bytes
}
