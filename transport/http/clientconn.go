package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// A clientConn is a dialed conn: one POST and its replies. Send starts a goroutine for it, which ends with the last
// reply or with Close. Its methods may be called from any goroutine. Its states:
//
//	from     to       when
//	new      started  Send of the frame; the goroutine sends the POST
//	started  done     the last reply was received, or an error, or Close
//	any      closed   Close
type clientConn struct {
	t     *Transport
	limit int

	ctx    context.Context
	cancel context.CancelCauseFunc
	sent   chan struct{} // closed when the POST was written
	once   sync.Once     // for closing sent

	mu      sync.Mutex
	peer    transport.Peer
	started bool // the goroutine was started
	closed  bool

	replies chan []byte
	done    chan struct{} // closed when there are no more replies
	err     error         // and why; io.EOF when all went well
}

func newClientConn(t *Transport, limit int) *clientConn {
	name := kind(t.Client != nil)
	x := &clientConn{
		t: t, limit: limit,
		peer:    transport.Peer{Transport: name, Session: transport.NewSession(name), Addr: addr(t.Address)},
		sent:    make(chan struct{}),
		replies: make(chan []byte),
		done:    make(chan struct{}),
	}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	return x
}

// Context implements transport.Conn.
func (x *clientConn) Context() context.Context { return x.ctx }

// Peer implements transport.Conn. The daemon's credentials are known when the response has begun.
func (x *clientConn) Peer() transport.Peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peer
}

var _ transport.OneFrameConn = (*clientConn)(nil)

// OneFrame implements transport.OneFrameConn.
func (*clientConn) OneFrame() {}

// Send implements transport.Conn. It blocks until the POST was written, and does not wait for the response. The error
// is transport.ErrOneFrame for a second frame. When ctx ends before, the conn cannot be used any more.
func (x *clientConn) Send(ctx context.Context, frames ...[]byte) error {
	if err := x.start(ctx, frames); err != nil || len(frames) == 0 {
		return err
	}
	select {
	case <-x.sent:
		return nil
	case <-ctx.Done():
		x.cancel(context.Cause(ctx))
		return context.Cause(ctx)
	case <-x.done:
	}
	select {
	case <-x.sent: // the response was received too
		return nil
	default:
		return x.endError()
	}
}

// start starts the goroutine for the only frame.
func (x *clientConn) start(ctx context.Context, frames [][]byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return net.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(frames) > 1, len(frames) == 1 && x.started:
		return transport.ErrOneFrame
	case len(frames) == 1:
		x.started = true
		go x.run(bytes.Clone(frames[0])) // net/http may read it even after the response
	}
	return nil
}

// Receive implements transport.Conn.
func (x *clientConn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	x.mu.Lock()
	closed := x.closed
	x.mu.Unlock()
	if closed {
		return dst, net.ErrClosed
	}
	select {
	case reply := <-x.replies:
		return append(dst, reply...), nil
	case <-x.done:
		return dst, x.endError()
	default:
	}
	select {
	case reply := <-x.replies:
		return append(dst, reply...), nil
	case <-x.done:
		return dst, x.endError()
	case <-ctx.Done():
		return dst, context.Cause(ctx)
	case <-x.ctx.Done():
		return dst, context.Cause(x.ctx)
	}
}

// endError returns why no reply follows. x.done is closed.
func (x *clientConn) endError() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return net.ErrClosed
	}
	return x.err
}

// Close implements transport.Conn. If replies are missing, it closes the connection. The daemon notices that when it
// writes.
func (x *clientConn) Close() error {
	x.mu.Lock()
	x.closed = true
	started := x.started
	x.mu.Unlock()
	x.cancel(net.ErrClosed)
	if started {
		<-x.done
	}
	return nil
}

// run sends the POST and delivers the replies.
func (x *clientConn) run(frame []byte) {
	defer close(x.done)
	answer, err := x.post(frame)
	if err == nil {
		err = x.read(answer)
		_ = answer.Body.Close()
	}
	if x.ctx.Err() != nil {
		err = context.Cause(x.ctx)
	} else if !errors.Is(err, io.EOF) {
		x.cancel(err)
	}
	x.err = err
}

// post sends the POST and waits for the head of the response.
func (x *clientConn) post(frame []byte) (*http.Response, error) {
	trace := &httptrace.ClientTrace{
		GotConn: func(g httptrace.GotConnInfo) { x.setAddr(g.Conn) },
		WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				x.once.Do(func() { close(x.sent) })
			}
		},
	}
	r := (&http.Request{
		Method: http.MethodPost, URL: x.t.url(), Header: x.t.header(), ContentLength: int64(len(frame)),
	}).WithContext(httptrace.WithClientTrace(x.ctx, trace))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(frame)), nil }
	r.Body, _ = r.GetBody()
	answer, err := x.t.connections().RoundTrip(r)
	if errors.Is(err, io.EOF) { // io.EOF would mean that all replies were received
		err = errNoAnswer
	}
	if err != nil {
		return nil, x.t.failed(err)
	}
	if answer.TLS != nil {
		x.mu.Lock()
		x.peer.Creds = []transport.Credential{tlsconf.FingerprintOf(answer.TLS.PeerCertificates[0])}
		x.mu.Unlock()
	}
	return answer, nil
}

var errNoAnswer = fmt.Errorf("the connection was closed without an answer: %w", io.ErrUnexpectedEOF)

// setAddr notes the daemon's address.
func (x *clientConn) setAddr(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peer.Addr = c.RemoteAddr()
}

// read delivers the replies of a response, and returns why no more follow.
func (x *clientConn) read(answer *http.Response) error {
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
		return x.t.failed(fmt.Errorf("the answer is %q and not JSON; is a daemon there?", media))
	}
	stream := transport.NewStream(responseStream{answer.Body}, transport.StreamConfig{
		MaxFrame: limit, Idle: -1, FrameTimeout: -1,
	})
	for {
		frame, err := stream.Receive(context.Background(), nil)
		if err != nil {
			return x.receiveError(err)
		}
		if media == typeLines[0] {
			if !x.deliver(frame) {
				return x.ctx.Err()
			}
			continue
		}
		// All of it is here; what remains is to see its end, so that the connection can be used again.
		if _, err := stream.Receive(context.Background(), nil); err != io.EOF { //nolint:errorlint // one that is cut off is an io.EOF too
			return x.receiveError(err)
		}
		for reply := range arrayElements(frame) {
			if !x.deliver(reply) {
				return x.ctx.Err()
			}
		}
		return io.EOF
	}
}

// maxRefusal is how much of the body of a response other than 200 is read.
const maxRefusal = 64 << 10

// readRefusal delivers the reply of a daemon that refused the request before a handler ran: a map with `error`. Any
// other body comes from the daemon's transport, or from a proxy, and becomes a *StatusError.
func (x *clientConn) readRefusal(answer *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, int64(min(maxRefusal, x.limit))))
	frame, err := oneFrame(body)
	if err != nil || !isReply(frame) {
		return x.t.failed(statusError(answer, body))
	}
	if !x.deliver(frame) {
		return x.ctx.Err()
	}
	return io.EOF
}

// isReply reports whether the body of a response other than 200 is a reply: a map with an integer `result` and a map
// `error`.
func isReply(body []byte) bool {
	var reply struct {
		Result *int           `json:"result"`
		Error  map[string]any `json:"error"`
	}
	return json.Unmarshal(body, &reply) == nil && reply.Result != nil && reply.Error != nil
}

// deliver passes one reply to Receive. It returns false when the conn is closed.
func (x *clientConn) deliver(reply []byte) bool {
	select {
	case x.replies <- reply:
		return true
	case <-x.ctx.Done():
		return false
	}
}

var errTwo = errors.New("the answer holds more than one array")

// receiveError returns the error for a response that could not be read to its end.
func (x *clientConn) receiveError(err error) error {
	if err == nil {
		return x.t.failed(errTwo)
	}
	if _, bad := errors.AsType[*transport.FrameError](err); bad || errors.Is(err, io.EOF) {
		return err
	}
	return x.t.failed(err)
}

// A responseStream is the body of a response as a transport.ByteStream. It has contexts instead of deadlines.
type responseStream struct{ io.ReadCloser }

// Write implements transport.ByteStream. It is never called.
func (responseStream) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// SetReadDeadline implements transport.ByteStream.
func (responseStream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements transport.ByteStream.
func (responseStream) SetWriteDeadline(time.Time) error { return nil }

// arrayElements returns the elements of an array without parsing them, or text itself if it is no array. text is a
// frame, so its brackets match.
func arrayElements(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !isList(text) {
			yield(text)
			return
		}
		inside := text[1 : len(text)-1]
		start, depth := 0, 0
		for i := 0; i < len(inside); i++ {
			switch inside[i] {
			case '"':
				i = afterString(inside, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case ',':
				if depth > 0 {
					continue
				}
				if !yield(bytes.TrimSpace(inside[start:i])) {
					return
				}
				start = i + 1
			}
		}
		if last := bytes.TrimSpace(inside[start:]); len(last) > 0 {
			yield(last)
		}
	}
}

// afterString returns the position after the string that starts at i, or the length of text.
func afterString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
