package mgr

import "sync"

// longBuffers has the buffers of long replies, for the next long replies: at most a sixteenth of MaxBuffered, since no peer's
// memory account has them. Short buffers stay with their reply objects in a sync.Pool.
type longBuffers struct {
	m *CommandMgr

	mu    sync.Mutex
	free  [][]byte
	bytes int64
}

// maxLongBuffer is the longest buffer that is kept, in bytes.
const maxLongBuffer = 2 << 20

// lend gives a reply a long buffer if the previous reply of the same command was long.
func (b *longBuffers) lend(r *encodedReply, of *registered) {
	if of == nil || !of.long.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free) - 1; n >= 0 {
		r.frame, b.free[n] = b.free[n], nil
		b.free = b.free[:n]
		b.bytes -= int64(cap(r.frame))
	}
}

// learn notes whether the last reply of a command was long.
func (b *longBuffers) learn(r *encodedReply, of *registered) {
	if of == nil {
		return
	}
	if long := len(r.frame) > maxKept/2; long != of.long.Load() {
		of.long.Store(long)
	}
}

// keep takes the buffer of a long reply that has been written, if the total allows it.
func (b *longBuffers) keep(r *encodedReply) {
	n := int64(cap(r.frame))
	if n <= maxKept/2 || n > maxLongBuffer {
		return
	}
	most := b.m.limits.Load().MaxBuffered / 16
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes+n <= most {
		b.free = append(b.free, r.frame[:0])
		b.bytes += n
		r.frame = nil
	}
}
