package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// A longBody is the body of a request that is received when the request has become a conn: so its bytes are booked
// for the conn's peer. Its buffer grows with what arrives. One goroutine uses it.
type longBody struct {
	l      *listener
	out    *response
	memory bodyMemory
	body   *body
	stream *transport.Stream
	frame  []byte // it has been received, and what stands behind it has not
}

func newLongBody(l *listener, out *response, limits transport.FrameLimits) *longBody {
	p := &longBody{l: l, out: out}
	p.body = &body{
		ReadCloser: http.MaxBytesReader(out.w, out.r.Body, int64(limits.MaxFrame)),
		out:        out,
		until:      time.Now().Add(limits.FrameTimeout),
	}
	cfg := transport.StreamConfig{
		MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: -1, // b.until is stricter
	}
	if l.memory != nil {
		cfg.Memory = &p.memory
	}
	p.stream = transport.NewStream(p.body, cfg)
	return p
}

// begin says for which peer the bytes are booked.
func (p *longBody) begin(peer transport.Peer) { p.memory.memory, p.memory.peer = p.l.memory, peer }

// receive returns the only frame in the body. When ctx has ended it may be called again.
func (p *longBody) receive(ctx context.Context) ([]byte, error) {
	if p.frame == nil {
		frame, err := p.stream.Receive(ctx, nil)
		if err != nil {
			return nil, notEmpty(err)
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
	_ = p.stream.Close()                               // it follows ctx no longer
	return p.frame, p.out.SetReadDeadline(time.Time{}) // net/http listens for the client while we work
}

// close returns what is booked. The caller needs the frame no longer.
func (p *longBody) close() {
	_ = p.stream.Close()
	p.memory.close()
}

// A bodyMemory is where the stream of a body books. Once the frame is received its bytes stay booked until the conn
// closes, though the stream has handed them over.
type bodyMemory struct {
	memory transport.Memory
	peer   transport.Peer

	mu      sync.Mutex
	account transport.MemoryAccount
	kept    bool
}

// OpenAccount implements transport.Memory. The stream has no peer of its own.
func (b *bodyMemory) OpenAccount(transport.Peer) transport.MemoryAccount {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.account = b.memory.OpenAccount(b.peer)
	return (*bodyAccount)(b)
}

// keep ends the return of bytes before close.
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

// Close implements transport.MemoryAccount. The account is closed with the conn.
func (a *bodyAccount) Close() {}
