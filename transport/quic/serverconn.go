package quic

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/rudderpost/rudderpost/transport"
)

// A serverConn is a client's connection as the daemon sees it. Its states:
//
//	from    to      when
//	unused  open    the client opens its first stream
//	unused  closed  Idle has passed without a stream
//	open    idle    the last stream was closed
//	open    closed  the last stream was closed, and the client wants no more (STOP_SENDING with code 1)
//	idle    open    the client opens another stream
//	idle    closed  the client closes the connection
//	idle    closed  the client's STOP_SENDING arrives within checkDelay and two round trips
//	idle    closed  the listener is closed; linger after the last write at the latest
//
// The state is not stored: it is unused while the timer unused runs, open while open is above 0, and idle otherwise.
type serverConn struct {
	l    *listener
	conn *quicgo.Conn
	peer transport.Peer

	mu         sync.Mutex
	open       int           // streams that are not closed
	last       *serverStream // the stream that was closed last
	clientDone bool          // the client wants no more (STOP_SENDING with code 1)
	lastWrite  time.Time
	unused     *time.Timer // runs until the first stream is opened; nil: no limit
	checkTimer *time.Timer // runs after the last stream was closed
}

// newServerConn returns nil if it has refused the connection.
func (l *listener) newServerConn(conn *quicgo.Conn) *serverConn {
	s := &serverConn{l: l, conn: conn, peer: transport.Peer{
		Transport: "quic",
		Session:   transport.NewSession("quic"),
		Addr:      conn.RemoteAddr(),
		Creds:     l.tls.Creds(conn.ConnectionState().TLS),
	}}
	if name := conn.ConnectionState().TLS.ServerName; name != "" {
		s.peer.Target = &transport.Target{Host: name}
	}
	if len(s.peer.Creds) == 0 {
		l.limiter.refused(s.peer.Addr, transport.ErrNoCredentials)
		_ = conn.CloseWithError(connNoCredentials, transport.ErrNoCredentials.Error())
		return nil
	}
	if l.memory != nil {
		if err := recordOf(conn).bookWindow(l.memory.OpenAccount(s.peer)); err != nil {
			recordOf(conn).releaseWindow()
			l.limiter.refused(s.peer.Addr, err)
			_ = conn.CloseWithError(connMemory, "too many bytes are held for this peer")
			return nil
		}
	}
	if idle := cmp.Or(l.limits().Idle, defaultIdle); idle > 0 {
		s.unused = time.AfterFunc(idle, s.closeUnusedConn)
	}
	s.checkTimer = time.AfterFunc(linger, s.closeIfClientDone)
	s.checkTimer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serverConns[s] = struct{}{}
	return s
}

// run accepts the streams of the connection until it ends. It refuses streams when the listener is closed.
func (s *serverConn) run() {
	defer s.end()
	if s.l.isClosed() { // before newServerConn has added s, so that Close has not seen it
		s.drain()
	}
	for {
		stream, err := s.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		s.addStream()
		b := &serverStream{byteStream: byteStream{Stream: stream}, server: s}
		if s.l.isClosed() {
			b.refuse()
			continue
		}
		limits := s.l.limits()
		c := b.conn(b, transport.StreamConfig{MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: limits.FrameTimeout, Memory: s.l.memory}, s.peer)
		select {
		case s.l.accepted <- c:
		case <-s.l.closed:
			b.refuse()
			_ = c.Close()
		case <-s.conn.Context().Done():
			_ = c.Close()
		}
	}
}

// end releases the connection after it has ended.
func (s *serverConn) end() {
	recordOf(s.conn).releaseWindow()
	s.checkTimer.Stop()
	if s.unused != nil {
		s.unused.Stop()
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	delete(s.l.serverConns, s)
}

func (s *serverConn) addStream() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	if s.unused != nil {
		s.unused.Stop()
	}
}

// removeStream removes a closed stream. With the last one it closes the connection if the client wants no more, and
// lingers if the listener is closed.
func (s *serverConn) removeStream(b *serverStream) {
	s.mu.Lock()
	s.open--
	s.last = b
	s.clientDone = s.clientDone || b.clientIsDone()
	last, done := s.open == 0, s.open == 0 && s.clientDone
	if last && !done {
		s.checkTimer.Reset(checkDelay + 2*s.conn.ConnectionStats().SmoothedRTT)
	}
	s.mu.Unlock()
	switch {
	case done:
		_ = s.conn.CloseWithError(connDone, "")
	case last && s.l.isClosed():
		s.drain()
	}
}

// checkDelay, with two round trips, is when both sides know that the other side has closed the stream.
const checkDelay = 20 * time.Millisecond

// closeIfClientDone closes an idle connection when the client's STOP_SENDING has arrived after the daemon has closed
// the stream.
func (s *serverConn) closeIfClientDone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 && s.last.clientIsDone() {
		_ = s.conn.CloseWithError(connDone, "")
	}
}

// closeUnusedConn closes a connection on which no stream was opened. A connection that was used is closed by the
// client, because the daemon does not know what the client has still to read.
func (s *serverConn) closeUnusedConn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 {
		_ = s.conn.CloseWithError(connIdle, "no stream was opened")
	}
}

const (
	linger      = 2 * time.Second        // for the bytes that were written
	lingerFinal = 100 * time.Millisecond // for the end of the stream
)

// drain closes a connection without open streams. It waits until the client has closed it, or linger after the last
// write. It does nothing while streams are open.
func (s *serverConn) drain() {
	s.mu.Lock()
	open, timeout := s.open > 0, max(linger-time.Since(s.lastWrite), lingerFinal)
	s.mu.Unlock()
	if open {
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-s.conn.Context().Done():
	case <-timer.C:
		_ = s.conn.CloseWithError(connDone, "the daemon is shutting down")
	}
}

func (s *serverConn) noteWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastWrite = time.Now()
}

// A serverStream is a stream as the daemon sees it.
type serverStream struct {
	byteStream
	server *serverConn
	once   sync.Once
}

func (b *serverStream) Write(p []byte) (int, error) {
	defer b.server.noteWrite()
	return b.byteStream.Write(p)
}

// Close closes both halves. When the listener is closed, Close of the last stream waits in drain.
func (b *serverStream) Close() error {
	b.finish()
	b.CancelRead(streamClosed)
	b.release()
	return nil
}

// refuse tells the client that the daemon accepts no more conns.
func (b *serverStream) refuse() {
	b.CancelWrite(streamRefused)
	b.CancelRead(streamRefused)
	b.release()
}

// release allows the client to open another stream.
func (b *serverStream) release() {
	b.once.Do(func() {
		b.ReleaseStreamCredit()
		b.server.removeStream(b)
	})
}

// clientIsDone reports whether the client has sent STOP_SENDING with code 1 on this stream. After the stream was
// closed only Write returns it.
func (b *serverStream) clientIsDone() bool {
	_, err := b.Stream.Write(nil)
	e, ok := errors.AsType[*quicgo.StreamError](err)
	return ok && e.Remote && e.ErrorCode == streamLast
}
