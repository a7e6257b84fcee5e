package transporttest_test

import (
	"context"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/pipe"
)

// A place is a pipe with a fault.
type place struct {
	pipe.Transport
	fault fault
}

func (p *place) Listen(ctx context.Context) (transport.Listener, error) {
	l, err := p.Transport.Listen(ctx)
	return listener{l, p.fault}, err
}

func (p *place) Dial(ctx context.Context) (transport.Conn, error) {
	c, err := p.Transport.Dial(ctx)
	return conn{c, p.fault}, err
}

type listener struct {
	transport.Listener
	fault fault
}

func (l listener) Accept(ctx context.Context) (transport.Conn, error) {
	if l.fault.accept != nil {
		c, err := l.fault.accept(l.Listener, ctx)
		return conn{c, l.fault}, err
	}
	c, err := l.Listener.Accept(ctx)
	return conn{c, l.fault}, err
}

func (l listener) Close() error {
	if l.fault.shut != nil {
		return l.fault.shut(l.Listener)
	}
	return l.Listener.Close()
}

type conn struct {
	transport.Conn
	fault fault
}

func (c conn) Send(ctx context.Context, frames ...[]byte) error {
	if c.fault.send != nil {
		return c.fault.send(c.Conn, ctx, frames)
	}
	return c.Conn.Send(ctx, frames...)
}

func (c conn) Receive(ctx context.Context, dst []byte) ([]byte, error) {
	if c.fault.receive != nil {
		return c.fault.receive(c.Conn, ctx, dst)
	}
	return c.Conn.Receive(ctx, dst)
}

func (c conn) Close() error {
	if c.fault.close != nil {
		return c.fault.close(c.Conn)
	}
	return c.Conn.Close()
}

func (c conn) Context() context.Context {
	if c.fault.context != nil {
		return c.fault.context(c.Conn)
	}
	return c.Conn.Context()
}

func (c conn) Peer() transport.Peer {
	if c.fault.peer != nil {
		return c.fault.peer(c.Conn)
	}
	return c.Conn.Peer()
}
