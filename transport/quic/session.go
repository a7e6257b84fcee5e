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

// A session is a client's connection.
type session struct {
	l    *listener
	conn *quicgo.Conn
	peer transport.Peer

	mu    sync.Mutex
	open  int         // streams that are not closed
	last  *served     // the one that was closed last
	left  bool        // the client wants nothing more
	wrote time.Time   // when something was written last
	idle  *time.Timer // runs until the first stream is opened; nil: for ever
	look  *time.Timer // runs shortly after the last one was closed
}

// newSession returns nil for a connection that is refused.
func (l *listener) newSession(conn *quicgo.Conn) *session {
	s := &session{l: l, conn: conn, peer: transport.Peer{
		Transport: "quic",
		Session:   transport.NewSession("quic"),
		Addr:      conn.RemoteAddr(),
		Creds:     l.tls.Creds(conn.ConnectionState().TLS),
	}}
	if name := conn.ConnectionState().TLS.ServerName; name != "" {
		s.peer.Target = &transport.Target{Host: name}
	}
	if len(s.peer.Creds) == 0 {
		l.gate.refused(s.peer.Addr, transport.ErrNoCredentials)
		_ = conn.CloseWithError(connNobody, transport.ErrNoCredentials.Error())
		return nil
	}
	if l.memory != nil {
		if err := arrivalOf(conn).book(l.memory.OpenAccount(s.peer)); err != nil {
			arrivalOf(conn).free()
			l.gate.refused(s.peer.Addr, err)
			_ = conn.CloseWithError(connMemory, "too many bytes are held for this peer")
			return nil
		}
	}
	if idle := cmp.Or(l.limits().Idle, defaultIdle); idle > 0 {
		s.idle = time.AfterFunc(idle, s.expire)
	}
	s.look = time.AfterFunc(linger, s.lookAgain)
	s.look.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[s] = struct{}{}
	return s
}

// run hands out the connection's streams, until it ends. After the listener was closed they are
// refused.
func (s *session) run() {
	defer s.end()
	if s.l.isClosed() { // since before this session could be seen
		s.drain()
	}
	for {
		stream, err := s.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		s.enter()
		b := &served{byteStream: byteStream{Stream: stream}, session: s}
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

func (s *session) end() {
	arrivalOf(s.conn).free()
	s.look.Stop()
	if s.idle != nil {
		s.idle.Stop()
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	delete(s.l.sessions, s)
}

func (s *session) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	if s.idle != nil {
		s.idle.Stop()
	}
}

// leave is told that a stream was closed. The last one closes the connection when the client has
// left, and lingers when the listener was closed.
func (s *session) leave(b *served) {
	s.mu.Lock()
	s.open--
	s.last = b
	s.left = s.left || b.clientLeft()
	last, done := s.open == 0, s.open == 0 && s.left
	if last && !done {
		s.look.Reset(lookAfter + 2*s.conn.ConnectionStats().SmoothedRTT)
	}
	s.mu.Unlock()
	switch {
	case done:
		_ = s.conn.CloseWithError(connDone, "")
	case last && s.l.isClosed():
		s.drain()
	}
}

// lookAfter is when, a round trip or two apart, both sides know of each other's Close.
const lookAfter = 20 * time.Millisecond

// lookAgain closes a connection whose last stream both sides have closed at the same time: the
// client's farewell came after ours.
func (s *session) lookAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 && s.last.clientLeft() {
		_ = s.conn.CloseWithError(connDone, "")
	}
}

// expire closes a connection on which nobody has ever talked. One that was used is the client's to
// close: nobody knows what it has yet to read.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == 0 {
		_ = s.conn.CloseWithError(connIdle, "no stream was opened")
	}
}

const (
	linger      = 2 * time.Second        // for what was written
	lingerFinal = 100 * time.Millisecond // for the last word alone
)

// drain closes a connection without streams after what was written on it has had time to arrive, or
// the client has closed it. One with streams it leaves alone.
func (s *session) drain() {
	s.mu.Lock()
	busy, patience := s.open > 0, max(linger-time.Since(s.wrote), lingerFinal)
	s.mu.Unlock()
	if busy {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.conn.Context().Done():
	case <-timer.C:
		_ = s.conn.CloseWithError(connDone, "the daemon is shutting down")
	}
}

func (s *session) hasWritten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote = time.Now()
}

// A served is the daemon's end of a stream.
type served struct {
	byteStream
	session *session
	once    sync.Once
}

func (b *served) Write(p []byte) (int, error) {
	defer b.session.hasWritten()
	return b.byteStream.Write(p)
}

// Close closes both halves. It waits when it closes the last stream of a connection after the listener.
func (b *served) Close() error {
	b.finish()
	b.CancelRead(streamClosed)
	b.release()
	return nil
}

// refuse tells the client that nobody will read what it sends.
func (b *served) refuse() {
	b.CancelWrite(streamRefused)
	b.CancelRead(streamRefused)
	b.release()
}

// release gives the client the right to open another stream.
func (b *served) release() {
	b.once.Do(func() {
		b.ReleaseStreamCredit()
		b.session.leave(b)
	})
}

// clientLeft reports whether the client has said that it wants nothing more of the connection. Once
// the stream is closed only Write tells.
func (b *served) clientLeft() bool {
	_, err := b.Stream.Write(nil)
	e, ok := errors.AsType[*quicgo.StreamError](err)
	return ok && e.Remote && e.ErrorCode == streamLast
}
