package websocket

import (
	"context"
	"sync"
)

// An inbox is the queue of frames between the reader, which calls put and finish, and Receive, which calls take.
type inbox struct {
	filled  chan struct{} // has a value when there is a new frame, or the end
	emptied chan struct{} // has a value when there is room again

	mu     sync.Mutex
	frames []arrived // those from next on were not taken
	next   int
	bytes  int
	full   bool  // put waits for room
	end    error // no frame follows
}

// An arrived is a frame and its buffer.
type arrived struct {
	frame []byte
	buf   *[]byte
}

// An inbox is full when it has as many frames or bytes. put accepts one frame more, of any size.
const (
	maxWaiting      = 64
	maxWaitingBytes = 64 << 10
)

// buffers are for messages. Buffers above largeMessage are not put back.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, smallMessage); return &b }}

const (
	smallMessage = 4 << 10
	largeMessage = 64 << 10
)

func recycle(buf *[]byte) {
	if cap(*buf) <= largeMessage {
		*buf = (*buf)[:0]
		buffers.Put(buf)
	}
}

func newInbox() *inbox {
	return &inbox{filled: make(chan struct{}, 1), emptied: make(chan struct{}, 1)}
}

// put adds a frame. When the inbox is full, it waits until there is room again, or returns the cause when ctx ends.
func (b *inbox) put(ctx context.Context, a arrived) error {
	b.mu.Lock()
	b.frames = append(b.frames, a)
	b.bytes += len(a.frame)
	b.full = len(b.frames)-b.next >= maxWaiting || b.bytes >= maxWaitingBytes
	full := b.full
	b.mu.Unlock()
	notify(b.filled)
	if !full {
		return nil
	}
	select {
	case <-b.emptied:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish says that no frame follows, and why.
func (b *inbox) finish(err error) {
	b.mu.Lock()
	b.end = err
	b.mu.Unlock()
	notify(b.filled)
}

// take appends the next frame to dst. A large frame is returned without a copy, if dst is empty and too small; then
// handed is true. size is the size of the frame's buffer; 0: there is no frame, and err says why none will follow, or
// is nil.
func (b *inbox) take(dst []byte) (got []byte, size int, handed bool, err error) {
	b.mu.Lock()
	if b.next == len(b.frames) {
		defer b.mu.Unlock()
		return dst, 0, false, b.end
	}
	a := b.frames[b.next]
	b.frames[b.next] = arrived{}
	b.next++
	if b.next == len(b.frames) {
		b.frames, b.next = b.frames[:0], 0
	}
	b.bytes -= len(a.frame)
	room := b.full && len(b.frames)-b.next < maxWaiting && b.bytes < maxWaitingBytes
	b.full = b.full && !room
	b.mu.Unlock()
	if room {
		notify(b.emptied)
	}
	size = cap(*a.buf)
	if len(dst) == 0 && cap(dst) < len(a.frame) && len(a.frame) > smallMessage {
		return a.frame, size, true, nil
	}
	dst = append(dst, a.frame...)
	recycle(a.buf)
	return dst, size, false, nil
}

// isEmpty reports whether all frames were taken.
func (b *inbox) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next == len(b.frames)
}

// isFull reports whether put waits for room.
func (b *inbox) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.full
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
