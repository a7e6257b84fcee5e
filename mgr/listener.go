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

// A ListenerConfig is a transport with the manager's settings for its listener. It implements transport.Transport, so Open,
// Listen and Run accept it:
//
//	m.Run(ctx, &mgr.ListenerConfig{Transport: &unix.Transport{Path: "ro.sock", Mode: 0o666}, MaxAccess: mgr.Read})
type ListenerConfig struct {
	transport.Transport

	// Name is the name of the listener in records and lists. Default: the listener's address.
	Name string

	// MaxAccess is the highest level of access of calls through this listener, for every peer, and whatever the Authorizer
	// decides. A call that needs more is answered with result 403. 0: no limit.
	MaxAccess Level
}

// check returns an error if the config is not valid.
func (c *ListenerConfig) check() error {
	switch {
	case c.Transport == nil:
		return fmt.Errorf("the listener config %q has no transport", c.Name)
	case c.MaxAccess > Admin:
		return fmt.Errorf("there is no level of access %d; the levels are read, write, admin", c.MaxAccess)
	}
	return nil
}

// Listeners returns the configs of the open listeners, without their transports, sorted by name.
func (m *CommandMgr) Listeners() []ListenerConfig {
	var all []ListenerConfig
	for _, l := range m.openListeners() {
		all = append(all, ListenerConfig{Name: l.config.Load().Name, MaxAccess: l.config.Load().MaxAccess})
	}
	slices.SortFunc(all, func(a, b ListenerConfig) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// TooHigh returns an error if the call needs more access than its listener allows, and nil otherwise.
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

// A Listener is a listener that the manager serves. All methods may be called from any goroutine.
type Listener struct {
	m      *CommandMgr
	inner  transport.Listener
	config atomic.Pointer[ListenerConfig]

	readCtx context.Context         // conns are read with it; Drain and the manager's drain end it
	endRead context.CancelCauseFunc // its cause is the *wire.Error for requests that arrive later

	conns   int  // guarded by m.mu
	over    bool // no conn joins any more; guarded by m.mu
	accepts sync.WaitGroup
	closed  chan struct{} // closed by Close
	once    sync.Once
	err     error
}

// Open opens a listener and serves its conns at once. It may be called at any time before the drain. ctx is for the opening
// only; its end does not close the listener. Commands are queued until the loop runs.
func (m *CommandMgr) Open(ctx context.Context, t transport.Transport) (*Listener, error) {
	l, err := m.Listen(ctx, t)
	if err == nil {
		l.Serve()
	}
	return l, err
}

// Listen opens a listener that accepts no conn before Serve is called. Until then the conns of clients wait in the backlog of
// the operating system. A change of the configuration can so open its listeners first, and serve them when it is in force.
// Listen returns the error of the transport, or a *wire.Error with result 503 after the drain has begun.
func (m *CommandMgr) Listen(ctx context.Context, t transport.Transport) (*Listener, error) {
	if m.readCtx.Err() != nil {
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
	if m.readCtx.Err() != nil {
		_ = inner.Close()
		return nil, errShuttingDown
	}
	m.listeners[l] = struct{}{} // Shutdown may close l from now on
	return l, nil
}

// newListener returns a Listener whose inner is not set yet.
func (m *CommandMgr) newListener(config *ListenerConfig) *Listener {
	l := &Listener{m: m, closed: make(chan struct{})}
	l.readCtx, l.endRead = context.WithCancelCause(m.readCtx)
	l.config.Store(config)
	return l
}

// Serve starts a goroutine that accepts conns. It may be called once, and does nothing after Close.
func (l *Listener) Serve() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if _, open := l.m.listeners[l]; open {
		l.accepts.Go(l.accept)
	}
}

// SetMaxAccess changes MaxAccess of the listener. It applies to all requests that are read from now on, also on open conns.
func (l *Listener) SetMaxAccess(level Level) {
	config := *l.config.Load()
	config.MaxAccess = level
	l.config.Store(&config)
}

// Addr returns the address of the listener.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the listener and waits until its accept goroutine has returned. Its open conns stay open and are served; Drain
// closes them. A handler may close the listener that accepted its conn. Later calls return the same error.
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

// endUnusedLocked ends the read context of a listener that is closed and has no conn, so that the manager's context releases
// it. The caller holds m.mu.
func (l *Listener) endUnusedLocked() {
	if l.over && l.conns == 0 {
		l.endRead(errListenerRemoved)
	}
}

// Drain closes the listener, and then its conns. The manager reads no more requests from them, and closes each conn when its
// accepted commands are answered. A request that arrives later does not run; it is answered with 503 or not at all.
//
// After timeout, which counts from the closing of the listener, the manager closes the conns that are left. Their queued
// commands do not run, and the contexts of their async commands end.
//
// Drain returns the number of conns that it drains, and does not wait for them. It blocks as long as Close does, and ignores
// the error of Close. A handler may drain the listener that accepted its conn; that conn counts, and gets the reply before it
// is closed. Drain may be called again; the timeout that passes first is in force.
func (l *Listener) Drain(timeout time.Duration) (conns int) {
	_ = l.Close()
	left := l.openConns() // all conns: none joins after Close
	l.endRead(errListenerRemoved)
	for _, c := range left {
		c.unpark()
	}
	if len(left) > 0 {
		time.AfterFunc(timeout, l.closeLeft)
	}
	return len(left)
}

var (
	errListenerRemoved = &wire.Error{Code: wire.CodeShuttingDown, Text: "this listener was removed and takes no more commands; connect to another one"}
	errDrainTimeout    = &wire.Error{Code: wire.CodeShuttingDown, Text: "its listener was removed, and the time to drain its conns has passed"}
)

// closeLeft closes the conns that are left after the timeout of a drain.
func (l *Listener) closeLeft() {
	select {
	case <-l.m.done: // the manager's drain was complete before this timer fired
		return
	default:
	}
	closed := 0
	for _, c := range l.openConns() {
		if c.kill(errDrainTimeout, waitingCalls) {
			closed++
		}
	}
	if closed > 0 {
		l.m.log.Warn("conns of a removed listener are closed before their commands are answered", "listener", l.config.Load().Name, "conns", closed)
	}
}

// conversations returns the open conns of the listener.
func (l *Listener) openConns() []*conn {
	return slices.DeleteFunc(l.m.openConns(), func(c *conn) bool { return c.listener != l })
}

// refusal returns the error for a request or a conn that arrives after the drain of the listener or of the manager has begun,
// or nil.
func (l *Listener) refusal() *wire.Error {
	if l.readCtx.Err() == nil {
		return nil
	}
	if why, ok := errors.AsType[*wire.Error](context.Cause(l.readCtx)); ok {
		return why
	}
	return errShuttingDown
}

// accept accepts conns until the listener is closed.
func (l *Listener) accept() {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		conn, err := l.inner.Accept(l.m.readCtx)
		switch {
		case err == nil:
			pause = shortest
			l.serve(conn)
			continue
		case errors.Is(err, net.ErrClosed), l.m.readCtx.Err() != nil:
			return
		}
		// Usually the process has no descriptor left. It gets one when a conn closes, so another attempt must wait.
		l.m.log.Error("cannot accept", "listener", l.Addr().String(), "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return
		}
		pause = min(2*pause, longest)
	}
}

// serve serves a conn, or refuses it.
func (l *Listener) serve(conn transport.Conn) {
	c, why := l.m.addConn(l, conn)
	if c == nil {
		l.m.refused.Add(1)
		if peer := conn.Peer().String(); l.m.refusals.Allow(peer) {
			l.m.log.Warn("a conn is refused", "peer", peer, "why", why.Text)
		}
		if inReserve(conn) { // no other conn is accepted until this descriptor is closed
			refuseConn(conn, why, 10*time.Millisecond)
		} else {
			go refuseConn(conn, why, time.Second)
		}
		return
	}
	if l.m.opts.Observer != nil {
		l.m.opts.Observer.ConnOpened(conn.Peer())
	}
	l.m.readers.add(c)
}

// refuseConn writes the reply to a refused conn, and closes it.
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
