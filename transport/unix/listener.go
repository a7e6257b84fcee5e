//go:build unix && !aix

package unix

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/internal/descriptors"
	"github.com/rudderpost/rudderpost/transport"
)

// A listener hands out the clients of one socket.
type listener struct {
	sock   *net.UnixListener
	addr   net.Addr
	limits func() transport.FrameLimits
	claim  *claim // nil: the socket file is not ours
	group  uint32 // of the socket file
	memory transport.Memory

	turn   chan struct{} // holds one value while an Accept waits: the socket has one deadline
	closed chan struct{}
	close  func() error
}

func newListener(ctx context.Context, sock *net.UnixListener, addr net.Addr, limits func() transport.FrameLimits, c *claim, group uint32) *listener {
	l := &listener{
		sock: sock, addr: addr, limits: limits, claim: c, group: group, memory: transport.MemoryOf(ctx),
		turn: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	l.close = sync.OnceValue(l.shut)
	return l
}

// Accept implements transport.Listener. A peer that has left before anybody could learn who it was
// is passed over.
func (l *listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		sock, err := l.accept(ctx)
		if err != nil {
			return nil, err
		}
		config := l.config()
		config.Reserve = descriptors.InReserve(sock)
		if c, err := newConn(sock, l.addr, config, l.group); err == nil {
			return c, nil
		}
	}
}

// accept waits for one client.
func (l *listener) accept(ctx context.Context) (sock *net.UnixConn, err error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	default:
	}
	l.until(ctx, func() { sock, err = l.sock.AcceptUnix() })
	switch {
	case err == nil:
		return sock, nil
	case errors.Is(err, net.ErrClosed):
		return nil, net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// past is any time that is over.
var past = time.Unix(1, 0)

// until calls wait, and makes it end when ctx does, by way of a deadline in the past. That deadline
// is gone when until returns.
func (l *listener) until(ctx context.Context, wait func()) {
	if ctx.Done() == nil {
		wait()
		return
	}
	var mu sync.Mutex
	waiting := true
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if waiting {
			_ = l.sock.SetDeadline(past)
		}
	})
	wait()
	if stop() {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	waiting = false
	_ = l.sock.SetDeadline(time.Time{})
}

// Close implements transport.Listener. When it has returned the path is free for another daemon.
func (l *listener) Close() error { return l.close() }

// shut closes the socket after its file is gone: while it is open no other file can have the inode
// that tells ours from another's.
func (l *listener) shut() error {
	close(l.closed)
	if l.claim == nil {
		return l.sock.Close()
	}
	err := errors.Join(l.claim.removeSocket(), l.sock.Close(), l.claim.release())
	if err != nil {
		return &net.OpError{Op: "close", Net: "unix", Addr: l.addr, Err: err}
	}
	return nil
}

// Addr implements transport.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) config() transport.StreamConfig {
	limits := l.limits()
	return transport.StreamConfig{MaxFrame: limits.MaxFrame, Idle: limits.Idle, FrameTimeout: limits.FrameTimeout, Memory: l.memory}
}
