package quic

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
)

// A pool has the connections of a Transport to its daemon. There is one connection, unless the daemon allows fewer
// streams on it than the client has conns.
type pool struct {
	mu      sync.Mutex
	conns   []*clientConn
	attempt *attempt // the handshake of another connection; nil: none
}

// An attempt is a handshake for which some calls of Dial wait. It is cancelled when none of them waits any more.
type attempt struct {
	done    chan struct{}
	err     error
	waiting int
	cancel  context.CancelCauseFunc
}

// open opens a stream on an open connection, or on a new one that connect makes.
func (p *pool) open(ctx context.Context, connect func(context.Context) (*clientConn, error)) (*clientStream, error) {
	for {
		p.mu.Lock()
		if ctx.Err() != nil {
			p.closeUnusedLocked()
			p.mu.Unlock()
			return nil, context.Cause(ctx)
		}
		if d := p.streamLocked(); d != nil {
			p.mu.Unlock()
			return d, nil
		}
		a := p.attempt
		if a == nil {
			a = p.tryLocked(connect)
		}
		a.waiting++
		p.mu.Unlock()
		if err := p.wait(ctx, a); err != nil {
			return nil, err
		}
	}
}

// streamLocked opens a stream on an open connection that has room for it; nil: there is none.
func (p *pool) streamLocked() *clientStream {
	for _, l := range p.conns {
		if d, err := l.stream(); err == nil {
			return d
		}
	}
	return nil
}

// tryLocked begins an attempt.
func (p *pool) tryLocked(connect func(context.Context) (*clientConn, error)) *attempt {
	ctx, cancel := context.WithCancelCause(context.Background())
	a := &attempt{done: make(chan struct{}), cancel: cancel}
	p.attempt = a
	go func() {
		defer cancel(nil)
		l, err := connect(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.attempt == a {
			p.attempt = nil
		}
		if err == nil {
			p.conns = append(p.conns, l)
			go p.removeWhenDone(l)
			if a.waiting == 0 {
				p.closeUnusedLocked()
			}
		}
		a.err = err
		close(a.done)
	}()
	return a
}

var errNoWaiters = errors.New("no Dial waits for the connection any more")

// wait waits for an attempt, or until ctx ends.
func (p *pool) wait(ctx context.Context, a *attempt) error {
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if a.waiting--; a.waiting == 0 {
		if p.attempt == a {
			p.attempt = nil
		}
		a.cancel(errNoWaiters)
		p.closeUnusedLocked() // the attempt may have succeeded at the same time
	}
	p.mu.Unlock()
	return context.Cause(ctx)
}

// closeUnusedLocked closes connections without a stream: the calls of Dial that wanted one have ended.
func (p *pool) closeUnusedLocked() {
	for _, l := range p.conns {
		l.closeIfUnused()
	}
}

// removeWhenDone removes a connection from the pool when it has ended.
func (p *pool) removeWhenDone(l *clientConn) {
	<-l.conn.Context().Done()
	l.freeSocket()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(other *clientConn) bool { return other == l })
}

// A clientConn is a connection as the client sees it. Its states:
//
//	from     to        when
//	new      open      a stream is opened
//	new      closing   no Dial waits for it any more (closeIfUnused)
//	open     closing   the last stream is closed
//	closing  closed    at once, if the daemon has closed its side of all streams; otherwise when the daemon closes the
//	                   connection, or linger after the last such stream
//
// closing is set in the last two states, and open counts the streams.
type clientConn struct {
	conn *quicgo.Conn
	quic *quicgo.Transport
	sock net.PacketConn
	peer transport.Peer

	mu          sync.Mutex
	open        int       // streams that are not closed
	closing     bool      // no stream can be opened any more
	unreadUntil time.Time // until then the daemon may still read what was sent on a closed stream
}

var errClosing = errors.New("the connection is being closed")

// stream opens a stream. It does not wait: it returns an error if the daemon does not allow another stream now.
func (l *clientConn) stream() (*clientStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return nil, errClosing
	}
	stream, err := l.conn.OpenStream()
	if err != nil {
		return nil, err
	}
	l.open++
	d := &clientStream{byteStream: byteStream{Stream: stream}, client: l, peerDone: make(chan struct{})}
	stream.SetReceiveFinalSizeCallback(func(int64) { close(d.peerDone) })
	return d, nil
}

// removeStream removes a closed stream. peerDone says whether the daemon has closed its side before. last reports
// whether it was the last stream, and unreadUntil until when the daemon may have to read.
func (l *clientConn) removeStream(peerDone bool) (last bool, unreadUntil time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !peerDone {
		l.unreadUntil = time.Now().Add(linger)
	}
	l.open--
	l.closing = l.closing || l.open == 0
	return l.open == 0, l.unreadUntil
}

// closeIfUnused closes a connection without streams.
func (l *clientConn) closeIfUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == 0 && !l.closing {
		l.closing = true
		_ = l.conn.CloseWithError(connDone, "")
	}
}

// freeSocket closes the socket of a connection that has ended.
func (l *clientConn) freeSocket() {
	_ = l.quic.Close()
	_ = l.sock.Close()
}

// closeAfter closes the connection at a time, if the daemon does not close it before.
func (l *clientConn) closeAfter(unreadUntil time.Time) {
	timer := time.NewTimer(time.Until(unreadUntil))
	defer timer.Stop()
	select {
	case <-l.conn.Context().Done():
	case <-timer.C:
		_ = l.conn.CloseWithError(connDone, "")
	}
}

// A clientStream is a stream as the client sees it.
type clientStream struct {
	byteStream
	client   *clientConn
	peerDone chan struct{} // closed when the daemon has closed its side, or knows that the client has closed the stream
	once     sync.Once
}

// answerTime is how long Close waits until the daemon knows that the client has closed its last stream.
const answerTime = 500 * time.Millisecond

// Close closes both halves. With the last stream it closes the connection. If the daemon has closed its side of the
// stream, Close does not wait. Otherwise the daemon may still have to read, and a process that exits now could not
// tell it that the client has closed: Close waits until the daemon knows, for a round trip or 500 ms. The connection
// is closed later, on a goroutine.
func (d *clientStream) Close() error {
	d.once.Do(d.close)
	return nil
}

func (d *clientStream) close() {
	d.finish()
	peerDone := false
	select {
	case <-d.peerDone:
		peerDone = true
	default:
	}
	last, unreadUntil := d.client.removeStream(peerDone)
	if !last {
		d.CancelRead(streamClosed)
		return
	}
	d.CancelRead(streamLast)
	if time.Now().After(unreadUntil) {
		_ = d.client.conn.CloseWithError(connDone, "")
		return
	}
	go d.client.closeAfter(unreadUntil)
	if peerDone {
		return
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case <-d.peerDone:
	case <-d.client.conn.Context().Done():
	case <-timer.C:
	}
}
