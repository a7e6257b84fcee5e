package transport

import (
	"sync"
	"syscall"

	"github.com/rudderpost/rudderpost/internal/rawio"
)

// A reader reads a byte stream into a buffer that exists only while there is something in it: an
// idle conn costs no memory beyond its own.
type reader struct {
	data  []byte // what has been read and not consumed
	chunk *chunk // the array behind data, when it comes from the pool
	sip   *sip   // the same
	array int    // the length of the array behind data
	most  int    // how long data need become at most

	held MemoryUse // what of it is booked: what is kept while the peer is waited for, and each array that is not pooled

	stream ByteStream
	wait   func()          // set where the stream can be waited for without reading
	raw    syscall.RawConn // set where the stream can be read without waiting
	try    func(fd uintptr) bool
	err    error // what try found
	all    bool  // it took all that there was
}

// A chunk is what one read may bring: Kea reads as much.
type chunk [32 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// A sip is what a read is given where nothing has come yet: most of what comes is small, and many wait
// with it where a stream has to be given a buffer first, as with TLS.
type sip [4 << 10]byte

var sips = sync.Pool{New: func() any { return new(sip) }}

// minRead is the least room that a read is given.
const minRead = 4 << 10

func (r *reader) init(b ByteStream, raw syscall.RawConn, most int) {
	r.stream, r.most = b, most
	if w, ok := b.(interface{ Wait() }); ok {
		r.wait = w.Wait
	}
	if raw != nil {
		r.raw, r.try = raw, r.tryRead
	}
}

// read waits for bytes and adds them to data.
func (r *reader) read() error {
	if r.raw != nil {
		if err := r.raw.Read(r.try); err != nil {
			return err
		}
		return r.err
	}
	if r.wait != nil {
		r.shrink()
		r.wait()
	} else if r.array > len(chunk{}) {
		r.shrink()
	}
	if err := r.bookKept(); err != nil {
		return err
	}
	if err := r.room(); err != nil {
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

// tryRead reads what is there. It runs when the descriptor can be read, and also when nobody knows.
func (r *reader) tryRead(fd uintptr) (done bool) {
	if r.err = r.room(); r.err != nil {
		return true
	}
	n, err := rawio.Read(fd, r.data[len(r.data):cap(r.data)])
	if n > 0 {
		r.data = r.data[:len(r.data)+n]
		r.all = len(r.data) < cap(r.data)
	}
	if err == syscall.EAGAIN { //nolint:errorlint // nothing wraps it, and this is the hot path
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

// bookKept books what is kept while the peer is waited for: nothing, between frames.
func (r *reader) bookKept() error {
	kept := 0
	if len(r.data) > 0 {
		kept = r.array
	}
	return r.held.Set(kept)
}

// room makes room behind data. The error is that of the account.
func (r *reader) room() error {
	have := len(r.data)
	switch {
	case cap(r.data)-have >= minRead:
	case have == 0 && r.array == 0:
		r.sip = sips.Get().(*sip)
		r.data, r.array = r.sip[:0], len(sip{})
	case have <= len(chunk{})-minRead && r.chunk == nil:
		c := chunks.Get().(*chunk)
		copy(c[:], r.data)
		r.release()
		r.chunk, r.data, r.array = c, c[:have], len(chunk{})
	case have <= len(chunk{})/2 && r.chunk != nil: // the front has been consumed
		copy(r.chunk[:], r.data)
		r.data = r.chunk[:have]
	default:
		return r.grow()
	}
	return nil
}

// grow copies data into an array of twice its length. Until that is done both arrays are held, and booked. Near
// a limit of the account the new array is only a quarter longer.
func (r *reader) grow() error {
	have := len(r.data)
	double := min(2*max(have, len(chunk{})), max(r.most, have)+2*minRead)
	err := r.held.Set(r.array + double)
	if err != nil {
		double = have + max(have/4, 2*minRead)
		err = r.held.Set(r.array + double)
	}
	if err != nil {
		return err
	}
	grown := append(make([]byte, 0, double), r.data...)
	r.release()
	r.data, r.array = grown, cap(grown)
	return r.held.Set(r.array)
}

// consume drops the first n bytes of data.
func (r *reader) consume(n int) {
	r.data = r.data[n:]
	if len(r.data) == 0 {
		r.release()
		_ = r.held.Set(0)
	}
}

// handOver returns the bytes of data from start to end, where data ends, as the caller's own, with their array, and has nothing any more. They
// stay booked until the next read waits. It returns nil where the array is pooled.
func (r *reader) handOver(start, end int) []byte {
	if r.chunk != nil || r.sip != nil || end != len(r.data) {
		return nil
	}
	frame := r.data[start:end:end]
	r.data, r.array = nil, 0
	return frame
}

// shrink is for waiting: a few bytes of an unfinished frame keep neither a chunk nor the array that
// the frame before them needed.
func (r *reader) shrink() {
	if len(r.data) > 0 && (r.array < len(chunk{}) || len(r.data) > r.array/4) {
		return
	}
	var kept []byte
	if len(r.data) > 0 {
		kept = append(kept, r.data...)
	}
	r.release()
	r.data, r.array = kept, cap(kept)
}

// release gives the buffer back, with what is in it.
func (r *reader) release() {
	if r.chunk != nil {
		chunks.Put(r.chunk)
		r.chunk = nil
	}
	if r.sip != nil {
		sips.Put(r.sip)
		r.sip = nil
	}
	r.data, r.array = nil, 0
}
