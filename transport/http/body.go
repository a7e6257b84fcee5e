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

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/internal/web"
)

// maxHeld is the longest reply that waits for the next one to come, and the largest buffer that is
// kept for another request.
const maxHeld = 64 << 10

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// receive appends the body of a request to dst, which is one frame: the rules are those of a stream
// of bytes, and so is the memory, which grows with what arrives. The other error is
// *http.MaxBytesError.
func (l *listener) receive(out *response, dst []byte) ([]byte, error) {
	limits := l.limits()
	limit, length := int64(limits.MaxFrame), out.r.ContentLength
	switch {
	case length > limit:
		return dst, &http.MaxBytesError{Limit: limit}
	case 0 < length && length <= web.MaxShort && web.Short(out.r, limits.Idle, limits.FrameTimeout):
		return short(out.r.Body, slices.Grow(dst, int(length))[:length])
	}
	now := time.Now()
	b := &body{
		ReadCloser: http.MaxBytesReader(out.w, out.r.Body, limit),
		out:        out,
		until:      now.Add(limits.FrameTimeout),
	}
	stream := transport.NewStream(b, transport.StreamConfig{
		MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: -1, // b.until is stricter
	})
	frame, err := stream.Receive(context.Background(), dst)
	if err != nil {
		return dst, notEmpty(err)
	}
	switch _, err := stream.Receive(context.Background(), nil); {
	case err == nil:
		return dst, errSecond
	case !errors.Is(err, io.EOF):
		return dst, err
	}
	return frame, out.SetReadDeadline(time.Time{}) // net/http listens for the client while we work
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
	errEmpty  = errors.New("the body is empty")
	errSecond = errors.New("a second command in one body")
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
	return b.out.SetReadDeadline(t)
}

// SetWriteDeadline makes body a transport.ByteStream.
func (*body) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
