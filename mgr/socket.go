package mgr

import (
	"context"
	"errors"
	"net"
	"slices"
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

	receiving    context.Context         // the conns are read with it; ended by Drain, and by the drain of the manager
	endReceiving context.CancelCauseFunc // its cause is the *wire.Error that refuses what arrives later

	conns   int  // m.mu guards it
	over    bool // no conn joins any more; m.mu guards it
	accepts sync.WaitGroup
	closed  chan struct{} // closed by Close
	once    sync.Once
	err     error
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
	s := m.newSocket(endpoint)
	listener, err := t.Listen(transport.WithMemory(ctx, socketMemory{s}))
	if err != nil {
		s.endReceiving(errListenerRemoved)
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

// newSocket returns a Socket that has no listener yet.
func (m *CommandMgr) newSocket(endpoint *Endpoint) *Socket {
	s := &Socket{m: m, closed: make(chan struct{})}
	s.receiving, s.endReceiving = context.WithCancelCause(m.receiving)
	s.endpoint.Store(endpoint)
	return s
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

// Close closes the listener. Its conns stay open, and are served until their peers close them; Drain ends them. A handler
// may close the listener that its command came through.
func (s *Socket) Close() error {
	s.once.Do(func() {
		s.m.mu.Lock()
		delete(s.m.sockets, s)
		s.m.mu.Unlock()
		close(s.closed)
		s.err = s.listener.Close()
		s.accepts.Wait()
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		s.over = true
		s.endUnusedLocked()
	})
	return s.err
}

// endUnusedLocked ends the context of a listener that is closed and has no conns, so that the manager's context does not
// keep it. The caller holds m.mu.
func (s *Socket) endUnusedLocked() {
	if s.over && s.conns == 0 {
		s.endReceiving(errListenerRemoved)
	}
}

// Drain closes the listener, and then its conns: it reads no more requests from them, and each is closed when what it has
// accepted is answered. A request that arrives later is not run: it is answered with 503 or not at all. After timeout,
// which starts when the listener is closed, the conns that are left are closed; their commands that have not begun do not
// run, and those that run beside the loop are cancelled.
//
// Drain returns the number of conns that it drains, and does not wait for them. It blocks only as Close does, whose error
// it leaves to Close. A handler may drain the listener that its command came through; its conn is counted, and gets the
// reply before it is closed. Drain may be called again; the timeout that passes first counts.
func (s *Socket) Drain(timeout time.Duration) (conns int) {
	_ = s.Close()
	left := s.conversations() // all of them: after Close no conn joins
	s.endReceiving(errListenerRemoved)
	for _, c := range left {
		s.m.talkers.unpark(c)
	}
	if len(left) > 0 {
		time.AfterFunc(timeout, s.hangUp)
	}
	return len(left)
}

var (
	errListenerRemoved = &wire.Error{Code: wire.CodeShuttingDown, Text: "this listener was removed and takes no more commands; connect to another one"}
	errDrainTimeout    = &wire.Error{Code: wire.CodeShuttingDown, Text: "its listener was removed, and the time to drain its conns has passed"}
)

// hangUp closes the conns that a drain has left.
func (s *Socket) hangUp() {
	select {
	case <-s.m.done: // the manager has ended before this timer fired
		return
	default:
	}
	closed := 0
	for _, c := range s.conversations() {
		if c.kill(errDrainTimeout, waitingCalls) {
			closed++
		}
	}
	if closed > 0 {
		s.m.log.Warn("conns of a removed listener are closed before their commands are answered", "listener", s.endpoint.Load().Name, "conns", closed)
	}
}

// conversations returns the conns of the listener that are open.
func (s *Socket) conversations() []*conversation {
	return slices.DeleteFunc(s.m.conversations(), func(c *conversation) bool { return c.socket != s })
}

// refusal returns the error for a request or a conn that arrives when the drain of the listener or of the manager has
// begun, or nil.
func (s *Socket) refusal() *wire.Error {
	if s.receiving.Err() == nil {
		return nil
	}
	if why, ok := errors.AsType[*wire.Error](context.Cause(s.receiving)); ok {
		return why
	}
	return errShuttingDown
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
	closeFor(conn, why)
}
