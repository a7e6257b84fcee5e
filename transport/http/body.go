package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// maxFirstReply is the longest reply in bytes that is kept until the second one, and the largest buffer that is used
// again for another request.
const maxFirstReply = 64 << 10

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// receive reads a small body into dst and returns its frame, by the rules of a stream of bytes. It returns any other
// body as rest: the conn receives it, so that the manager can count its bytes. The error is an *http.MaxBytesError
// for a Content-Length above the limit.
func (l *listener) receive(out *response, dst []byte) (frame []byte, rest *longBody, err error) {
	limits := l.limits()
	limit, length := int64(limits.MaxFrame), out.r.ContentLength
	switch {
	case length > limit:
		return dst, nil, &http.MaxBytesError{Limit: limit}
	case 0 < length && length <= httpauth.MaxSmallBody && httpauth.SetSmallBody(out.r, limits.Idle, limits.FrameTimeout):
		frame, err = readSmallBody(out.r.Body, slices.Grow(dst, int(length))[:length])
		return frame, nil, err
	}
	return dst, newLongBody(l, out, limits), nil
}

// readSmallBody reads a body into buf, which has its length, and returns its frame.
func readSmallBody(body io.Reader, buf []byte) ([]byte, error) {
	_, err := io.ReadFull(body, buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return buf, &transport.FrameError{Reason: transport.TimedOut}
	}
	if err != nil {
		return buf, err
	}
	frame, err := oneFrame(buf)
	if err != nil {
		return buf, emptyBodyError(err)
	}
	return append(buf[:0], frame...), nil
}

var (
	errEmpty  = errors.New("the body is empty; POST one command, with Content-Length or in chunks")
	errSecond = errors.New("a second command in one body; POST each in a request of its own")
)

func emptyBodyError(err error) error {
	if err == io.EOF { //nolint:errorlint // one that is cut off is an io.EOF too
		return errEmpty
	}
	return err
}

// A bodyStream is the body of a request as a transport.ByteStream.
type bodyStream struct {
	io.ReadCloser
	out      *response
	deadline time.Time

	mu          sync.Mutex
	interrupted bool // interrupt was called
}

// Close implements transport.ByteStream. net/http closes the body.
func (*bodyStream) Close() error { return nil }

// interrupt ends a blocked read and all later reads.
func (b *bodyStream) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interrupted = true
	_ = b.out.SetReadDeadline(ctxio.LongAgo)
}

// Write implements transport.ByteStream. It is never called.
func (*bodyStream) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// SetReadDeadline implements transport.ByteStream. No deadline is later than that of the whole body; so the white
// space behind the frame has that deadline too.
func (b *bodyStream) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if b.deadline.Before(t) {
		t = b.deadline
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interrupted {
		t = ctxio.LongAgo
	}
	return b.out.SetReadDeadline(t)
}

// SetWriteDeadline implements transport.ByteStream.
func (*bodyStream) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// A longBody is the body of a request that the conn reads, so that its bytes are booked for the conn's peer. Its
// buffer grows with the bytes that arrive. Only one goroutine at a time uses it.
type longBody struct {
	l      *listener
	out    *response
	memory bodyMemory
	source *bodyStream
	stream *transport.Stream
	frame  []byte // the frame, while the end of the body was not read; nil: not received
}

func newLongBody(l *listener, out *response, limits transport.FrameLimits) *longBody {
	p := &longBody{l: l, out: out}
	p.source = &bodyStream{
		ReadCloser: http.MaxBytesReader(out.w, out.r.Body, int64(limits.MaxFrame)),
		out:        out,
		deadline:   time.Now().Add(limits.FrameTimeout),
	}
	cfg := transport.StreamConfig{
		MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: -1, // bodyStream.deadline is stricter
	}
	if l.memory != nil {
		cfg.Memory = &p.memory
	}
	p.stream = transport.NewStream(p.source, cfg)
	return p
}

// setPeer sets the peer for which the bytes are booked.
func (p *longBody) setPeer(peer transport.Peer) { p.memory.memory, p.memory.peer = p.l.memory, peer }

// receive returns the only frame of the body. When ctx has ended, it may be called again.
func (p *longBody) receive(ctx context.Context) ([]byte, error) {
	if p.frame == nil {
		frame, err := p.stream.Receive(ctx, nil)
		if err != nil {
			return nil, emptyBodyError(err)
		}
		p.memory.keep()
		p.frame = frame
	}
	switch _, err := p.stream.Receive(ctx, nil); {
	case err == nil:
		return nil, errSecond
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	_ = p.stream.Close()                               // so that the end of ctx sets no deadline
	return p.frame, p.out.SetReadDeadline(time.Time{}) // net/http reads while the command runs
}

// close releases all booked bytes. The caller does not use the frame any more.
func (p *longBody) close() {
	_ = p.stream.Close()
	p.memory.close()
}

// A bodyMemory is the transport.Memory of the stream of a body. When the frame was received, its bytes stay booked
// until the conn is closed, although the stream has released them.
type bodyMemory struct {
	memory transport.Memory
	peer   transport.Peer

	mu      sync.Mutex
	account transport.MemoryAccount
	kept    bool
}

// OpenAccount implements transport.Memory. It uses the conn's peer, because the stream has none.
func (b *bodyMemory) OpenAccount(transport.Peer) transport.MemoryAccount {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.account = b.memory.OpenAccount(b.peer)
	return (*bodyAccount)(b)
}

// keep ends the release of bytes before close.
func (b *bodyMemory) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = true
}

func (b *bodyMemory) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.account != nil {
		b.account.Close()
	}
}

// A bodyAccount is the account of a bodyMemory.
type bodyAccount bodyMemory

// Reserve implements transport.MemoryAccount.
func (a *bodyAccount) Reserve(n int) error { return a.account.Reserve(n) }

// ReserveWindow implements transport.MemoryAccount.
func (a *bodyAccount) ReserveWindow(n int) error { return a.account.ReserveWindow(n) }

// Release implements transport.MemoryAccount.
func (a *bodyAccount) Release(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.kept {
		a.account.Release(n)
	}
}

// Close implements transport.MemoryAccount. It does nothing: the conn closes the account.
func (a *bodyAccount) Close() {}
