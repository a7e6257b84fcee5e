package mgr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// A ListenerConfig is a transport and what the manager needs to know of its listener. It implements
// transport.Transport, so that Open, Listen and Run take it like any other:
//
//	m.Run(ctx, &mgr.ListenerConfig{Transport: &unix.Transport{Path: "ro.sock", Mode: 0o666}, MaxAccess: mgr.Read})
type ListenerConfig struct {
	transport.Transport

	// Name is the name of the listener in records and lists. Empty: the listener's address.
	Name string

	// MaxAccess is the highest level of access that a call through this listener has, whoever its peer is and
	// whatever the Authorizer decides. 0: no limit.
	MaxAccess Level
}

// check returns an error when the config is not valid.
func (c *ListenerConfig) check() error {
	switch {
	case c.Transport == nil:
		return fmt.Errorf("the listener config %q has no transport", c.Name)
	case c.MaxAccess > Admin:
		return fmt.Errorf("there is no level of access %d; the levels are read, write, admin", c.MaxAccess)
	}
	return nil
}

// Listeners returns the open listeners without their transports, sorted by name.
func (m *CommandMgr) Listeners() []ListenerConfig {
	var all []ListenerConfig
	for _, l := range m.openListeners() {
		all = append(all, ListenerConfig{Name: l.config.Load().Name, MaxAccess: l.config.Load().MaxAccess})
	}
	slices.SortFunc(all, func(a, b ListenerConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TooHigh returns an error when the call needs more access than its listener allows, and nil otherwise.
func (c *Call) TooHigh() *wire.Error {
	if c.Via == nil || c.Via.MaxAccess == 0 || c.Asks() <= c.Via.MaxAccess {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "", "'%s' is not allowed through %s: it needs %s access, and this listener allows at most %s",
		wire.Shorten(c.Name), c.Via.Name, c.Asks(), c.Via.MaxAccess)
}

// Asks returns the level of access that the call needs: that of its command, or Read when there is no such command.
func (c *Call) Asks() Level {
	if c.Command == nil {
		return Read
	}
	return c.Command.Level
}

// A Listener is an open listener of the manager. All methods may be called from any goroutine.
type Listener struct {
	m      *CommandMgr
	inner  transport.Listener
	config atomic.Pointer[ListenerConfig]

	readCtx context.Context         // the conns are read with it; ended by Drain, and by the drain of the manager
	endRead context.CancelCauseFunc // its cause is the *wire.Error that refuses later requests

	conns   int  // guarded by m.mu
	over    bool // no conn joins any more; guarded by m.mu
	accepts sync.WaitGroup
	closed  chan struct{} // closed by Close
	once    sync.Once
	err     error
}

// Open opens a listener and serves its conns at once. It may be called at any time; ctx bounds the opening only. Commands
// run as soon as the loop runs.
func (m *CommandMgr) Open(ctx context.Context, t transport.Transport) (*Listener, error) {
	l, err := m.Listen(ctx, t)
	if err == nil {
		l.Serve()
	}
	return l, err
}

// Listen opens a listener that accepts no conn until Serve is called; clients that connect meanwhile wait in the
// backlog of the operating system. So a configuration change can open its listeners first, and serve them when it is in
// force.
func (m *CommandMgr) Listen(ctx context.Context, t transport.Transport) (*Listener, error) {
	if m.receiving.Err() != nil {
		return nil, errShuttingDown
	}
	config, ok := t.(*ListenerConfig)
	if !ok {
		config = &ListenerConfig{Transport: t}
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	l := m.newListener(config)
	inner, err := t.Listen(transport.WithMemory(ctx, listenerMemory{l}))
	if err != nil {
		l.endRead(errListenerRemoved)
		return nil, err
	}
	l.inner = inner
	named := *config
	if named.Name == "" {
		named.Name = inner.Addr().String()
	}
	l.config.Store(&named)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.receiving.Err() != nil {
		_ = inner.Close()
		return nil, errShuttingDown
	}
	m.listeners[l] = struct{}{} // from now on Shutdown may close it
	return l, nil
}

// newListener returns a Listener that has no transport.Listener yet.
func (m *CommandMgr) newListener(config *ListenerConfig) *Listener {
	l := &Listener{m: m, closed: make(chan struct{})}
	l.readCtx, l.endRead = context.WithCancelCause(m.receiving)
	l.config.Store(config)
	return l
}

// Serve starts to accept conns, on a goroutine of its own. It may be called once, and does nothing after Close.
func (l *Listener) Serve() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if _, open := l.m.listeners[l]; open {
		l.accepts.Go(l.accept)
	}
}

// SetMaxAccess changes MaxAccess of the listener. It applies to all requests that are read from now on, also on conns
// that are open.
func (l *Listener) SetMaxAccess(level Level) {
	config := *l.config.Load()
	config.MaxAccess = level
	l.config.Store(&config)
}

// Addr returns the address of the listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the listener. Its conns stay open, and are served until their peers close them; Drain ends them. A handler
// may close the listener that its command came through.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		delete(l.m.listeners, l)
		l.m.mu.Unlock()
		close(l.closed)
		l.err = l.inner.Close()
		l.accepts.Wait()
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		l.over = true
		l.endUnusedLocked()
	})
	return l.err
}

// endUnusedLocked ends the read context of a listener that is closed and has no conns, so that the manager's context does
// not reference it any more. The caller holds m.mu.
func (l *Listener) endUnusedLocked() {
	if l.over && l.conns == 0 {
		l.endRead(errListenerRemoved)
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
func (l *Listener) Drain(timeout time.Duration) (conns int) {
	_ = l.Close()
	left := l.conversations() // all of them: after Close no conn joins
	l.endRead(errListenerRemoved)
	for _, c := range left {
		l.m.talkers.unpark(c)
	}
	if len(left) > 0 {
		time.AfterFunc(timeout, l.hangUp)
	}
	return len(left)
}

var (
	errListenerRemoved = &wire.Error{Code: wire.CodeShuttingDown, Text: "this listener was removed and takes no more commands; connect to another one"}
	errDrainTimeout    = &wire.Error{Code: wire.CodeShuttingDown, Text: "its listener was removed, and the time to drain its conns has passed"}
)

// hangUp closes the conns that a drain has left.
func (l *Listener) hangUp() {
	select {
	case <-l.m.done: // the manager has ended before this timer fired
		return
	default:
	}
	closed := 0
	for _, c := range l.conversations() {
		if c.kill(errDrainTimeout, waitingCalls) {
			closed++
		}
	}
	if closed > 0 {
		l.m.log.Warn("conns of a removed listener are closed before their commands are answered", "listener", l.config.Load().Name, "conns", closed)
	}
}

// conversations returns the conns of the listener that are open.
func (l *Listener) conversations() []*conversation {
	return slices.DeleteFunc(l.m.conversations(), func(c *conversation) bool { return c.listener != l })
}

// refusal returns the error for a request or a conn that arrives when the drain of the listener or of the manager has
// begun, or nil.
func (l *Listener) refusal() *wire.Error {
	if l.readCtx.Err() == nil {
		return nil
	}
	if why, ok := errors.AsType[*wire.Error](context.Cause(l.readCtx)); ok {
		return why
	}
	return errShuttingDown
}

// accept serves conns until the listener is closed.
func (l *Listener) accept() {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		conn, err := l.inner.Accept(l.m.receiving)
		switch {
		case err == nil:
			pause = shortest
			l.serve(conn)
			continue
		case errors.Is(err, net.ErrClosed), l.m.receiving.Err() != nil:
			return
		}
		// Out of descriptors, most likely: conns that end will help, trying at once will not.
		l.m.log.Error("cannot accept", "listener", l.Addr().String(), "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return
		}
		pause = min(2*pause, longest)
	}
}

// serve starts a conversation, or refuses the conn.
func (l *Listener) serve(conn transport.Conn) {
	c, why := l.m.join(l, conn)
	if c == nil {
		l.m.refused.Add(1)
		if peer := conn.Peer().String(); l.m.refusals.Allow(peer) {
			l.m.log.Warn("a conn is refused", "peer", peer, "why", why.Text)
		}
		if inReserve(conn) { // and no other conn is accepted meanwhile
			refuseConn(conn, why, 10*time.Millisecond)
		} else {
			go refuseConn(conn, why, time.Second)
		}
		return
	}
	if l.m.opts.Observer != nil {
		l.m.opts.Observer.ConnOpened(conn.Peer())
	}
	l.m.talkers.serve(c)
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
