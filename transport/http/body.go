package http

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// maxHeld is the longest reply that waits for the next one to come, and the largest buffer that is
// kept for another request.
const maxHeld = 64 << 10

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// receive appends a short body of a request to dst, which is one frame: the rules are those of a stream of bytes. Any
// other body is left for the conn to receive, when the manager knows of it and counts what it holds. The error is
// *http.MaxBytesError for one that says that it is too long.
func (l *listener) receive(out *response, dst []byte) (frame []byte, rest *longBody, err error) {
	limits := l.limits()
	limit, length := int64(limits.MaxFrame), out.r.ContentLength
	switch {
	case length > limit:
		return dst, nil, &http.MaxBytesError{Limit: limit}
	case 0 < length && length <= httpauth.MaxSmallBody && httpauth.SetSmallBody(out.r, limits.Idle, limits.FrameTimeout):
		frame, err = short(out.r.Body, slices.Grow(dst, int(length))[:length])
		return frame, nil, err
	}
	return dst, newLongBody(l, out, limits), nil
}

// short reads a body into an array of its length. It is here as a whole before anybody looks at it.
func short(body io.Reader, all []byte) ([]byte, error) {
	_, err := io.ReadFull(body, all)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return all, &transport.FrameError{Reason: transport.TimedOut}
	}
	if err != nil {
		return all, err
	}
	frame, err := transport.OneFrame(all)
	if err != nil {
		return all, notEmpty(err)
	}
	return append(all[:0], frame...), nil
}

var (
	errEmpty  = errors.New("the body is empty; POST one command, with Content-Length or in chunks")
	errSecond = errors.New("a second command in one body; POST each in a request of its own")
)

func notEmpty(err error) error {
	if err == io.EOF { //nolint:errorlint // one that is cut off is an io.EOF too
		return errEmpty
	}
	return err
}

// A body is the stream of bytes in a request.
type body struct {
	io.ReadCloser
	out   *response
	until time.Time

	mu  sync.Mutex
	cut bool // interrupt was called
}

// Close makes body a transport.ByteStream. The body is net/http's to close.
func (*body) Close() error { return nil }

// interrupt ends the read that waits, and all that follow.
func (b *body) interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = true
	_ = b.out.SetReadDeadline(past)
}

// Write makes body a transport.ByteStream. Nobody writes.
func (*body) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// SetReadDeadline limits the next read. White space behind the frame has the time that the frame had.
func (b *body) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if b.until.Before(t) {
		t = b.until
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		t = past
	}
	return b.out.SetReadDeadline(t)
}

// SetWriteDeadline makes body a transport.ByteStream.
func (*body) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
