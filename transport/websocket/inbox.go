package websocket

import (
	"context"
	"sync"
)

// An inbox holds frames that have arrived and nobody has received. One goroutine puts, another takes.
type inbox struct {
	filled  chan struct{} // has a value when there is something new
	emptied chan struct{} // has a value when there is room again

	mu     sync.Mutex
	frames []arrived // from next on
	next   int
	bytes  int
	full   bool  // whoever puts waits for room
	end    error // nothing comes any more behind the frames
}

// An arrived is a frame and the buffer that it lies in.
type arrived struct {
	frame []byte
	buf   *[]byte
}

// What an inbox holds before it is full; a frame is taken in whatever its size.
const (
	maxWaiting      = 64
	maxWaitingBytes = 64 << 10
)

// buffers are for messages; those that have grown much are not given back.
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

// put adds a frame, and waits until there is room for another. It returns the cause when ctx ends.
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

// finish says that no frame comes any more, and why.
func (b *inbox) finish(err error) {
	b.mu.Lock()
	b.end = err
	b.mu.Unlock()
	notify(b.filled)
}

// take appends the next frame to dst, or hands over the frame itself where that saves copying a large
// one. size is the length of the buffer that it lay in. When there is none size is 0, and the error says why none
// will come, if so.
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

// isEmpty reports whether all has been taken.
func (b *inbox) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next == len(b.frames)
}

// isFull reports whether what arrives has to wait.
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
