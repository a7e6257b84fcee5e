package quic

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
)

// A byteStream makes a transport.ByteStream of a QUIC stream, apart from Close.
type byteStream struct {
	*quicgo.Stream

	unwatch func() bool // ends looking whether the peer has left
	peeked  [1]byte

	writing  sync.Mutex // held by Write
	finished atomic.Bool
}

// conn makes a conn of b itself, with the Close of whatever b is a part of.
func (b *byteStream) conn(whole transport.ByteStream, cfg transport.StreamConfig, peer transport.Peer) *transport.Stream {
	cfg.Peer = peer
	s := transport.NewStream(whole, cfg)
	b.unwatch = context.AfterFunc(b.Context(), func() {
		if cause := context.Cause(b.Context()); !errors.Is(cause, quicgo.ErrStreamClosed) { // our own last word
			s.Depart(explain(cause))
		}
	})
	return s
}

// Wait returns when Read would not wait.
func (b *byteStream) Wait() { _, _ = b.Peek(b.peeked[:]) }

// Read reads, and tells the end of the connection as the peer's departure.
func (b *byteStream) Read(p []byte) (int, error) {
	n, err := b.Stream.Read(p)
	if err != nil {
		err = explain(err)
	}
	return n, err
}

// Write writes. It returns when all but the last packet's worth has been handed to the network.
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

// past is any time that is over.
var past = time.Unix(1, 0)

// finish says the last word behind what was written. A Write that waits ends: the peer will see that
// its frame was cut off.
func (b *byteStream) finish() {
	b.unwatch()
	b.finished.Store(true) // before the deadline, which a Send that begins now may take back
	_ = b.SetWriteDeadline(past)
	b.writing.Lock()
	defer b.writing.Unlock()
	_ = b.Close() // it fails when the peer listens no more
}
