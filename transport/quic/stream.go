package quic

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/internal/ctxio"
	"github.com/rudderpost/rudderpost/transport"
)

// A byteStream is a QUIC stream as a transport.ByteStream, without Close.
type byteStream struct {
	*quicgo.Stream

	stopWatch func() bool // ends the wait for the peer's departure
	peeked    [1]byte

	writing  sync.Mutex // held by Write
	finished atomic.Bool
}

// conn makes a conn of whole, which embeds b. The conn's context ends when the peer stops reading or closes the
// connection.
func (b *byteStream) conn(whole transport.ByteStream, cfg transport.StreamConfig, peer transport.Peer) *transport.Stream {
	cfg.Peer = peer
	s := transport.NewStream(whole, cfg)
	b.stopWatch = context.AfterFunc(b.Context(), func() {
		if cause := context.Cause(b.Context()); !errors.Is(cause, quicgo.ErrStreamClosed) { // we have closed it
			s.CloseWithError(explain(cause))
		}
	})
	return s
}

// Wait blocks until Read would not block.
func (b *byteStream) Wait() { _, _ = b.Peek(b.peeked[:]) }

// Read implements io.Reader. The end of the connection is an error that says why.
func (b *byteStream) Read(p []byte) (int, error) {
	n, err := b.Stream.Read(p)
	if err != nil {
		err = explain(err)
	}
	return n, err
}

// Write implements io.Writer. It returns when all bytes but those of the last packet were sent.
func (b *byteStream) Write(p []byte) (int, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.finished.Load() {
		return 0, net.ErrClosed
	}
	n, err := b.Stream.Write(p)
	if err != nil {
		err = explain(err)
	}
	return n, err
}

// finish sends the end of the stream behind what was written. It ends a blocked Write; the peer sees then that the
// frame is incomplete.
func (b *byteStream) finish() {
	b.stopWatch()
	b.finished.Store(true) // before the deadline, which a Send that begins now may remove
	_ = b.SetWriteDeadline(ctxio.LongAgo)
	b.writing.Lock()
	defer b.writing.Unlock()
	_ = b.Close() // it fails when the peer has stopped reading
}
