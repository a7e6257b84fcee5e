package mgr

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A Socket is an open way in.
type Socket struct {
	m        *CommandMgr
	listener transport.Listener
	endpoint atomic.Pointer[Endpoint]
	conns    int // m.mu guards it
	accepts  sync.WaitGroup
	closed   chan struct{} // closed by Close
	once     sync.Once
	err      error
}

// Open opens a way in, at any time; ctx bounds the opening. Its conns are served at once, and their
// commands run as soon as the loop does.
func (m *CommandMgr) Open(ctx context.Context, t transport.Transport) (*Socket, error) {
	s, err := m.Listen(ctx, t)
	if err == nil {
		s.Accept()
	}
	return s, err
}

// Listen opens a way in at which nobody is accepted until Accept. Who connects meanwhile waits. So what
// could fail can be done before what cannot: a new configuration listens, and accepts when it is in force.
func (m *CommandMgr) Listen(ctx context.Context, t transport.Transport) (*Socket, error) {
	if m.receiving.Err() != nil {
		return nil, errShuttingDown
	}
	endpoint, ok := t.(*Endpoint)
	if !ok {
		endpoint = &Endpoint{Transport: t}
	}
	if err := endpoint.check(); err != nil {
		return nil, err
	}
	s := &Socket{m: m, closed: make(chan struct{})}
	s.endpoint.Store(endpoint)
	listener, err := t.Listen(transport.WithMemory(ctx, socketMemory{s}))
	if err != nil {
		return nil, err
	}
	s.listener = listener
	named := *endpoint
	if named.Name == "" {
		named.Name = listener.Addr().String()
	}
	s.endpoint.Store(&named)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.receiving.Err() != nil {
		_ = listener.Close()
		return nil, errShuttingDown
	}
	m.sockets[s] = struct{}{} // from now on somebody may close it
	return s, nil
}

// Accept begins to serve who connects. It may be called once, and does nothing after Close.
func (s *Socket) Accept() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if _, open := s.m.sockets[s]; open {
		s.accepts.Go(s.accept)
	}
}

// SetMaxAccess changes the ceiling of the way in, for all requests from now on.
func (s *Socket) SetMaxAccess(level Level) {
	endpoint := *s.endpoint.Load()
	endpoint.MaxAccess = level
	s.endpoint.Store(&endpoint)
}

// Addr says where the socket can be reached.
func (s *Socket) Addr() net.Addr { return s.listener.Addr() }

// Close closes the way in. Its conns live on; a command may so close the socket that it came
// through, and is answered.
func (s *Socket) Close() error {
	s.once.Do(func() {
		s.m.mu.Lock()
		delete(s.m.sockets, s)
		s.m.mu.Unlock()
		close(s.closed)
		s.err = s.listener.Close()
		s.accepts.Wait()
	})
	return s.err
}

// accept serves conns until the listener is closed.
func (s *Socket) accept() {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		conn, err := s.listener.Accept(s.m.receiving)
		switch {
		case err == nil:
			pause = shortest
			s.serve(conn)
			continue
		case errors.Is(err, net.ErrClosed), s.m.receiving.Err() != nil:
			return
		}
		// Out of descriptors, most likely: conns that end will help, trying at once will not.
		s.m.log.Error("cannot accept", "listener", s.Addr().String(), "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-s.closed:
			return
		}
		pause = min(2*pause, longest)
	}
}

// serve starts a conversation, or refuses the conn.
func (s *Socket) serve(conn transport.Conn) {
	c, why := s.m.join(s, conn)
	if c == nil {
		s.m.refused.Add(1)
		if peer := conn.Peer().String(); s.m.refusals.Allow(peer) {
			s.m.log.Warn("a conn is refused", "peer", peer, "why", why.Text)
		}
		if inReserve(conn) { // and no other conn is accepted meanwhile
			refuseConn(conn, why, 10*time.Millisecond)
		} else {
			go refuseConn(conn, why, time.Second)
		}
		return
	}
	if s.m.opts.Observer != nil {
		s.m.opts.Observer.ConnOpened(conn.Peer())
	}
	s.m.talkers.serve(c)
}

// refuseConn answers a conn that is not let in, and closes it.
func refuseConn(conn transport.Conn, why *wire.Error, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	frame, _ := wire.AppendReply(nil, wire.Failure(why))
	frame = wire.AppendKea(nil, frame)
	if status := refusalStatus(why.Code); status != 0 {
		_ = conn.Send(transport.WithStatus(ctx, status), frame)
	} else {
		_ = conn.Send(ctx, frame)
	}
	_ = conn.Close()
}
