package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
)

// An exchange is a client's conn: one POST and the replies to it. Send starts the goroutine that does
// it, which ends with the last reply or with Close.
type exchange struct {
	place *Transport
	limit int

	ctx  context.Context
	gone context.CancelCauseFunc
	sent chan struct{} // closed when the POST is out
	once sync.Once     // closes it

	mu     sync.Mutex
	peer   transport.Peer
	begun  bool // the goroutine runs, or has
	closed bool

	replies chan []byte
	over    chan struct{} // closed when there are no more replies
	err     error         // and why; io.EOF when all went well
}

func newExchange(t *Transport, limit int) *exchange {
	name := kind(t.Client != nil)
	x := &exchange{
		place: t, limit: limit,
		peer:    transport.Peer{Transport: name, Session: transport.NewSession(name), Addr: addr(t.Address)},
		sent:    make(chan struct{}),
		replies: make(chan []byte),
		over:    make(chan struct{}),
	}
	x.ctx, x.gone = context.WithCancelCause(context.Background())
	return x
}

// Context implements transport.Conn.
func (x *exchange) Context() context.Context { return x.ctx }

// Peer implements transport.Conn. What the daemon has proven is known once the POST is out.
func (x *exchange) Peer() transport.Peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peer
}

var _ transport.OneFrameConn = (*exchange)(nil)

// OneFrame implements transport.OneFrameConn.
func (*exchange) OneFrame() {}

// Send implements transport.Conn. It returns when the POST is out, and does not wait for the answer. The error is
// transport.ErrOneFrame for a second frame.
// When ctx ends before that, the conn is of no more use.
func (x *exchange) Send(ctx context.Context, frames ...[]byte) error {
	if err := x.begin(ctx, frames); err != nil || len(frames) == 0 {
		return err
	}
	select {
	case <-x.sent:
		return nil
	case <-ctx.Done():
		x.gone(context.Cause(ctx))
		return context.Cause(ctx)
	case <-x.over:
	}
	select {
	case <-x.sent: // and answered since
		return nil
	default:
		return x.reason()
	}
}

func (x *exchange) begin(ctx context.Context, frames [][]byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return net.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(frames) > 1, len(frames) == 1 && x.begun:
		return transport.ErrOneFrame
	case len(frames) == 1:
		x.begun = true
		go x.run(bytes.Clone(frames[0])) // net/http may look at it even after it was answered
	}
	return nil
}

// Receive implements transport.Conn.
func (x *exchange) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	x.mu.Lock()
	closed := x.closed
	x.mu.Unlock()
	if closed {
		return dst, net.ErrClosed
	}
	select {
	case reply := <-x.replies:
		return append(dst, reply...), nil
	case <-x.over:
		return dst, x.reason()
	default:
	}
	select {
	case reply := <-x.replies:
		return append(dst, reply...), nil
	case <-x.over:
		return dst, x.reason()
	case <-ctx.Done():
		return dst, context.Cause(ctx)
	case <-x.ctx.Done():
		return dst, context.Cause(x.ctx)
	}
}

// reason is why there are no more replies. x.over is closed.
func (x *exchange) reason() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return net.ErrClosed
	}
	return x.err
}

// Close implements transport.Conn. Unless all replies are here it closes the connection, which a
// daemon notices when it answers.
func (x *exchange) Close() error {
	x.mu.Lock()
	x.closed = true
	begun := x.begun
	x.mu.Unlock()
	x.gone(net.ErrClosed)
	if begun {
		<-x.over
	}
	return nil
}

// run posts a frame and hands over the replies.
func (x *exchange) run(frame []byte) {
	defer close(x.over)
	answer, err := x.post(frame)
	if err == nil {
		err = x.read(answer)
		_ = answer.Body.Close()
	}
	if x.ctx.Err() != nil {
		err = context.Cause(x.ctx)
	} else if !errors.Is(err, io.EOF) {
		x.gone(err)
	}
	x.err = err
}

// post sends the POST and waits for the head of the answer.
func (x *exchange) post(frame []byte) (*http.Response, error) {
	trace := &httptrace.ClientTrace{
		GotConn: func(g httptrace.GotConnInfo) { x.meet(g.Conn) },
		WroteRequest: func(w httptrace.WroteRequestInfo) {
			if w.Err == nil {
				x.once.Do(func() { close(x.sent) })
			}
		},
	}
	r := (&http.Request{
		Method: http.MethodPost, URL: x.place.url(), Header: x.place.header(), ContentLength: int64(len(frame)),
	}).WithContext(httptrace.WithClientTrace(x.ctx, trace))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(frame)), nil }
	r.Body, _ = r.GetBody()
	answer, err := x.place.connections().RoundTrip(r)
	if errors.Is(err, io.EOF) { // which means something else to who receives
		err = errNoAnswer
	}
	if err != nil {
		return nil, x.place.failed(err)
	}
	if answer.TLS != nil {
		x.mu.Lock()
		x.peer.Creds = []transport.Credential{tlsconf.FingerprintOf(answer.TLS.PeerCertificates[0])}
		x.mu.Unlock()
	}
	return answer, nil
}

var errNoAnswer = fmt.Errorf("the connection was closed without an answer: %w", io.ErrUnexpectedEOF)

// meet notes where the daemon is.
func (x *exchange) meet(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peer.Addr = c.RemoteAddr()
}
