package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/rudderpost/rudderpost/transport"

	"github.com/go-json-experiment/json"
)

// read hands over the replies in an answer. It returns why there are no more.
func (x *exchange) read(answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return x.readRefusal(answer)
	}
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	limit := x.limit
	switch media {
	case "application/json":
		limit += len(opening) + len(closing)
	case typeLines[0]:
	default:
		return x.place.failed(fmt.Errorf("the answer is %q and not JSON; is a daemon there?", media))
	}
	stream := transport.NewStream(incoming{answer.Body}, transport.StreamConfig{
		MaxFrame: limit, Idle: -1, FrameTimeout: -1,
	})
	for {
		frame, err := stream.Receive(context.Background(), nil)
		if err != nil {
			return x.understand(err)
		}
		if media == typeLines[0] {
			if !x.hand(frame) {
				return x.ctx.Err()
			}
			continue
		}
		// All of it is here; what remains is to see its end, so that the connection can be used again.
		if _, err := stream.Receive(context.Background(), nil); err != io.EOF { //nolint:errorlint // one that is cut off is an io.EOF too
			return x.understand(err)
		}
		for reply := range elements(frame) {
			if !x.hand(reply) {
				return x.ctx.Err()
			}
		}
		return io.EOF
	}
}

// maxRefusal is how much of the body of an answer is read that is not 200.
const maxRefusal = 64 << 10

// readRefusal hands over the reply of a daemon that refused the request before a handler saw it: a bare map with `error`.
// Any other body is of the daemon's transport, or of what stands before it, and becomes a *StatusError.
func (x *exchange) readRefusal(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, int64(min(maxRefusal, x.limit))))
	frame, err := transport.OneFrame(body)
	if err != nil || !isReply(frame) {
		return x.place.failed(statusError(answer, body))
	}
	if !x.hand(frame) {
		return x.ctx.Err()
	}
	return io.EOF
}

// isReply reports whether the body of an answer that is not 200 is a reply: a map with an integer `result` and a map
// `error`.
func isReply(body []byte) bool {
	var reply struct {
		Result *int           `json:"result"`
		Error  map[string]any `json:"error"`
	}
	return json.Unmarshal(body, &reply) == nil && reply.Result != nil && reply.Error != nil
}

// hand hands one reply to Receive. It is false when nobody will take it.
func (x *exchange) hand(reply []byte) bool {
	select {
	case x.replies <- reply:
		return true
	case <-x.ctx.Done():
		return false
	}
}

var errTwo = errors.New("the answer holds more than one array")

// understand tells a failed connection from a reply that is none.
func (x *exchange) understand(err error) error {
	if err == nil {
		return x.place.failed(errTwo)
	}
	if _, bad := errors.AsType[*transport.FrameError](err); bad || errors.Is(err, io.EOF) {
		return err
	}
	return x.place.failed(err)
}

// incoming is the body of an answer as a transport.ByteStream. Its contexts bound it, not deadlines.
type incoming struct{ io.ReadCloser }

// Write makes incoming a transport.ByteStream. Nobody writes.
func (incoming) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// SetReadDeadline makes incoming a transport.ByteStream.
func (incoming) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline makes incoming a transport.ByteStream.
func (incoming) SetWriteDeadline(time.Time) error { return nil }
