package transport

import (
	"sync"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// A readBuffer reads a byte stream into an array that exists only while it has bytes: an idle conn needs no memory beyond
// its own. Only the reader goroutine uses it, except booked.
type readBuffer struct {
	data      []byte    // the bytes that were read and not discarded
	large     *largeBuf // the array of data, if it is that of a pool
	small     *smallBuf // the same
	arraySize int       // the length of the array of data
	maxData   int       // the longest data that is needed

	// booked has the bytes that are kept while the reader goroutine waits, and each array that is not that of a pool.
	booked MemoryUse

	stream  ByteStream
	wait    func()             // blocks until a Read of stream would not block; nil: only Read can wait
	fd      *netfd.Conn        // nil: stream has no descriptor
	try     func() (done bool) // tryRead, bound once
	err     error              // the error of tryRead
	drained bool               // tryRead has emptied the descriptor
}

// A largeBuf is as long as one read of Kea.
type largeBuf [32 << 10]byte

var largeBufs = sync.Pool{New: func() any { return new(largeBuf) }}

// A smallBuf is the array of the first read: most messages are short. A stream that needs an array before it can wait, as
// one of TLS, waits with it.
type smallBuf [4 << 10]byte

var smallBufs = sync.Pool{New: func() any { return new(smallBuf) }}

// minRead is the least free space for a read.
const minRead = 4 << 10

func (r *readBuffer) init(b ByteStream, fd *netfd.Conn, maxData int) {
	r.stream, r.maxData = b, maxData
	if w, ok := b.(interface{ Wait() }); ok {
		r.wait = w.Wait
	}
	if fd.HasDescriptor() {
		r.fd, r.try = fd, r.tryRead
	}
}

// read waits for bytes and adds them to data.
func (r *readBuffer) read() error {
	if r.fd != nil {
		if err := r.fd.WaitReadable(r.try); err != nil {
			return err
		}
		return r.err
	}
	if r.wait != nil {
		r.shrink()
		r.wait()
	} else if r.arraySize > len(largeBuf{}) {
		r.shrink()
	}
	if err := r.bookKept(); err != nil {
		return err
	}
	if err := r.reserve(); err != nil {
		return err
	}
	n, err := r.stream.Read(r.data[len(r.data):cap(r.data)])
	r.data = r.data[:len(r.data)+n]
	if n > 0 {
		return nil // an error with it comes again
	}
	r.shrink()
	return err
}

// tryRead reads without blocking, and returns true when it has read bytes or an error. It is for a callback of
// netfd.Conn.
func (r *readBuffer) tryRead() (done bool) {
	if r.err = r.reserve(); r.err != nil {
		return true
	}
	n, drained, err := r.fd.TryRead(r.data[len(r.data):cap(r.data)])
	r.data, r.drained = r.data[:len(r.data)+n], drained
	if n == 0 && err == nil {
		r.shrink()
		r.err = r.bookKept()
		return r.err != nil
	}
	if err != nil {
		r.shrink()
	}
	r.err = err
	return true
}

// bookKept books the bytes that are kept while the reader goroutine waits: none between frames.
func (r *readBuffer) bookKept() error {
	kept := 0
	if len(r.data) > 0 {
		kept = r.arraySize
	}
	return r.booked.Set(kept)
}

// reserve makes space for a read behind data. The error is that of the memory account.
func (r *readBuffer) reserve() error {
	have := len(r.data)
	switch {
	case cap(r.data)-have >= minRead:
	case have == 0 && r.arraySize == 0:
		r.small = smallBufs.Get().(*smallBuf)
		r.data, r.arraySize = r.small[:0], len(smallBuf{})
	case have <= len(largeBuf{})-minRead && r.large == nil:
		c := largeBufs.Get().(*largeBuf)
		copy(c[:], r.data)
		r.release()
		r.large, r.data, r.arraySize = c, c[:have], len(largeBuf{})
	case have <= len(largeBuf{})/2 && r.large != nil: // the front was discarded
		copy(r.large[:], r.data)
		r.data = r.large[:have]
	default:
		return r.grow()
	}
	return nil
}

// grow copies data into an array of twice its length. Both arrays are booked until then. Near a limit of the memory
// account the new array is only a quarter longer.
func (r *readBuffer) grow() error {
	have := len(r.data)
	double := min(2*max(have, len(largeBuf{})), max(r.maxData, have)+2*minRead)
	err := r.booked.Set(r.arraySize + double)
	if err != nil {
		double = have + max(have/4, 2*minRead)
		err = r.booked.Set(r.arraySize + double)
	}
	if err != nil {
		return err
	}
	grown := append(make([]byte, 0, double), r.data...)
	r.release()
	r.data, r.arraySize = grown, cap(grown)
	return r.booked.Set(r.arraySize)
}

// discard discards the first n bytes of data.
func (r *readBuffer) discard(n int) {
	r.data = r.data[n:]
	if len(r.data) == 0 {
		r.release()
		_ = r.booked.Set(0)
	}
}

// handOver gives the bytes of data from start to end to the caller, with their array. end must be the end of data. They
// stay booked until the next read waits. It returns nil, and does nothing, for an array of a pool.
func (r *readBuffer) handOver(start, end int) []byte {
	if r.large != nil || r.small != nil || end != len(r.data) {
		return nil
	}
	frame := r.data[start:end:end]
	r.data, r.arraySize = nil, 0
	return frame
}

// shrink prepares for waiting: the few bytes of an incomplete frame move to an array of their length.
func (r *readBuffer) shrink() {
	if len(r.data) > 0 && (r.arraySize < len(largeBuf{}) || len(r.data) > r.arraySize/4) {
		return
	}
	var kept []byte
	if len(r.data) > 0 {
		kept = append(kept, r.data...)
	}
	r.release()
	r.data, r.arraySize = kept, cap(kept)
}

// release discards data and returns its array to the pool.
func (r *readBuffer) release() {
	if r.large != nil {
		largeBufs.Put(r.large)
		r.large = nil
	}
	if r.small != nil {
		smallBufs.Put(r.small)
		r.small = nil
	}
	r.data, r.arraySize = nil, 0
}
