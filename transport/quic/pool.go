package quic

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// A pool is the connections of a client to one place. There is one, unless the daemon permits fewer
// conns on it than are wanted.
type pool struct {
	mu      sync.Mutex
	conns   []*link
	attempt *attempt // to make another; nil: there is none
}

// An attempt is a handshake that some Dials wait for. It ends early when none of them does any more.
type attempt struct {
	done    chan struct{}
	err     error
	waiting int
	cancel  context.CancelCauseFunc
}

// open opens a stream on a connection that is there, or on a new one that connect makes.
func (p *pool) open(ctx context.Context, connect func(context.Context) (*link, error)) (*dialed, error) {
	for {
		p.mu.Lock()
		if ctx.Err() != nil {
			p.closeUnused()
			p.mu.Unlock()
			return nil, context.Cause(ctx)
		}
		if d := p.stream(); d != nil {
			p.mu.Unlock()
			return d, nil
		}
		a := p.attempt
		if a == nil {
			a = p.try(connect)
		}
		a.waiting++
		p.mu.Unlock()
		if err := p.wait(ctx, a); err != nil {
			return nil, err
		}
	}
}

// stream opens a stream on a living connection that has room for it. Called with mu held.
func (p *pool) stream() *dialed {
	for _, l := range p.conns {
		if d, err := l.stream(); err == nil {
			return d
		}
	}
	return nil
}

// try begins an attempt. Called with mu held.
func (p *pool) try(connect func(context.Context) (*link, error)) *attempt {
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
			go p.forget(l)
			if a.waiting == 0 {
				p.closeUnused()
			}
		}
		a.err = err
		close(a.done)
	}()
	return a
}

var errNobodyWaits = errors.New("nobody waits for the connection any more")

// wait waits for an attempt, which may serve others too.
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
		a.cancel(errNobodyWaits)
		p.closeUnused() // it may have succeeded in the same instant
	}
	p.mu.Unlock()
	return context.Cause(ctx)
}

// closeUnused closes connections that nobody has opened a stream on, since those who wanted to have
// given up. Called with mu held.
func (p *pool) closeUnused() {
	for _, l := range p.conns {
		l.closeUnused()
	}
}

// forget removes a connection when it has ended.
func (p *pool) forget(l *link) {
	<-l.conn.Context().Done()
	l.free()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(other *link) bool { return other == l })
}
