package transporttest

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/rudderpost/rudderpost/transport"
)

func (p *place) wantClosed(what string, err error) {
	p.Helper()
	if !errors.Is(err, net.ErrClosed) {
		p.Fatalf("%s: %v, want net.ErrClosed", what, err)
	}
}

// contextEnds waits for the end of a conn's Context, which has a cause.
func (p *place) contextEnds(c transport.Conn) {
	p.Helper()
	select {
	case <-c.Context().Done():
	case <-p.ctx.Done():
		p.Fatal("the conn's Context does not end")
	}
	if cause := context.Cause(c.Context()); cause == nil || errors.Is(cause, context.Canceled) {
		p.Fatalf("the conn's Context has ended without a cause of its own (%v)", cause)
	}
}

// closeTwice: Close may be called any number of times, also at the same time.
func closeTwice(p *place) {
	dialed, accepted, sent := p.request(hello)
	p.wantFrame(accepted, hello)
	for _, c := range []transport.Conn{accepted, dialed} {
		first, second := start(c.Close), start(c.Close)
		p.wantNoError(p.ends("Close", first))
		p.wantNoError(p.ends("Close", second))
		p.wantNoError(c.Close())
	}
	_ = p.ends("Send", sent)
}

// afterClose: after Close every method returns net.ErrClosed.
func afterClose(p *place) {
	dialed, accepted, sent := p.request(hello)
	p.wantFrame(accepted, hello)
	if dialed.Context().Err() != nil || accepted.Context().Err() != nil {
		p.Fatal("the Context of a living conn has ended")
	}
	for _, c := range []transport.Conn{accepted, dialed} { // the peer of the second one closes first
		_ = c.Close()
		for range 2 {
			_, err := c.Receive(p.ctx, nil)
			p.wantClosed("Receive after Close", err)
			p.wantClosed("Send after Close", c.Send(p.ctx, hello))
			_, err = c.Receive(p.ended(), nil)
			p.wantClosed("Receive after Close with an ended context", err)
			p.wantClosed("Send after Close with an ended context", c.Send(p.ended(), hello))
		}
		p.contextEnds(c)
		if c.Peer().Session == "" {
			p.Error("Peer is forgotten after Close")
		}
	}
	_ = p.ends("Send", sent)
	if p.cfg.OneShot {
		return
	}

	dialed, accepted = p.connect() // after the end was seen, and with a frame unread
	p.send(accepted, hello)
	_ = dialed.Close()
	p.seesTheEnd(accepted)
	_ = accepted.Close()
	_, err := accepted.Receive(p.ctx, nil)
	p.wantClosed("Receive after the peer's end and Close", err)
	p.wantClosed("Send after the peer's end and Close", accepted.Send(p.ctx, hello))
}

// seesTheEnd receives until that fails.
func (p *place) seesTheEnd(c transport.Conn) {
	p.Helper()
	done := start(func() error {
		for {
			if _, err := c.Receive(p.ctx, nil); err != nil {
				return err
			}
		}
	})
	if err := p.ends("Receive", done); p.ctx.Err() != nil {
		p.Fatalf("Receive does not see that the peer has closed: %v", err)
	}
}

// closeUnblocksReceive: a Receive that waits ends when either side closes.
func closeUnblocksReceive(p *place) {
	for i := range 20 {
		dialed, accepted := p.connect()
		closing, waiting := dialed, accepted
		if i%2 == 1 {
			closing, waiting = accepted, dialed
		}
		receive := func(c transport.Conn) <-chan error {
			return start(func() error {
				_, err := c.Receive(p.ctx, nil)
				return err
			})
		}
		own, others := receive(closing), receive(waiting)
		yield(i * i)
		_ = closing.Close()
		p.wantClosed("Receive that waits while the conn is closed", p.ends("Receive", own))
		if err := p.ends("Receive", others); err == nil || p.ctx.Err() != nil {
			p.Fatalf("Receive that waits while the peer closes: %v", err)
		}
		_, err := closing.Receive(p.ctx, nil)
		p.wantClosed("Receive after Close", err)
		_ = waiting.Close()
	}
}

// closeDelivers: the frames of Send arrive though Close comes right behind it.
func closeDelivers(p *place) {
	for i := range 10 {
		dialed, accepted := p.connect()
		from, to := dialed, accepted
		if i%2 == 1 {
			from, to = accepted, dialed
		}
		all := frames(1 + i*20)
		sent := start(func() error {
			err := from.Send(p.ctx, all...)
			_ = from.Close()
			return err
		})
		p.wantNoError(expect(p, to, all...))
		p.wantNoError(p.ends("Send", sent))
		if _, err := to.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
			p.Fatalf("Receive after the last frame: %v, want io.EOF", err)
		}
	}
}

// peerGone: the Context of a conn ends when its peer cannot read, and Send fails.
func peerGone(p *place) {
	for _, server := range []bool{true, false} {
		gone, c := p.connect()
		if !server {
			gone, c = c, gone
		}
		if c.Context().Err() != nil {
			p.Fatal("the Context of a living conn has ended")
		}
		_ = gone.Close()
		p.seesTheEnd(c)
		if p.cfg.Departs {
			p.contextEnds(c)
		}
		if err := sendUnread(p.ctx, c, 64, func() {}); p.ctx.Err() != nil {
			p.Fatalf("Send to a peer that is gone: %v", err)
		}
		p.contextEnds(c)
		if errors.Is(context.Cause(c.Context()), net.ErrClosed) {
			p.Fatalf("the cause is %v, but the peer has closed", context.Cause(c.Context()))
		}
	}
}

// halfClose: a peer that has closed its writing half still receives the replies.
func halfClose(p *place) {
	dialed, accepted := p.connect()
	p.send(dialed, hello)
	p.wantNoError(p.cfg.HalfClose(dialed))
	p.wantFrame(accepted, hello)
	for range 2 {
		if _, err := accepted.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
			p.Fatalf("Receive after a half-close: %v, want io.EOF", err)
		}
	}
	for i, f := range frames(50) {
		if accepted.Context().Err() != nil {
			p.Fatalf("the Context has ended, before reply %d: %v", i, context.Cause(accepted.Context()))
		}
		p.send(accepted, f)
		p.wantFrame(dialed, f)
	}
	big := frame(p.cfg.MaxFrame, 1)
	sent := start(func() error { return accepted.Send(p.ctx, big) })
	p.wantFrame(dialed, big)
	p.wantNoError(p.ends("Send", sent))
	if dialed.Context().Err() != nil {
		p.Fatal("the Context of the half-closed side has ended")
	}
	_ = accepted.Close()
	if _, err := dialed.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
		p.Fatalf("Receive after everything: %v, want io.EOF", err)
	}
}

// halfCloseAtOnce: frames and the half-close come before the first Receive, and then while a Receive waits.
func halfCloseAtOnce(p *place) {
	dialed, accepted := p.connect()
	all := frames(20)
	p.send(dialed, all...)
	p.wantNoError(p.cfg.HalfClose(dialed))
	p.wantNoError(expect(p, accepted, all...))
	if _, err := accepted.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
		p.Fatalf("Receive after a half-close: %v, want io.EOF", err)
	}
	p.send(accepted, hello)
	p.wantFrame(dialed, hello)

	dialed, accepted = p.connect()
	received := start(func() error {
		_, err := accepted.Receive(p.ctx, nil)
		return err
	})
	yield(100)
	p.wantNoError(p.cfg.HalfClose(dialed))
	if err := p.ends("Receive", received); !errors.Is(err, io.EOF) {
		p.Fatalf("Receive that waits while the peer half-closes: %v, want io.EOF", err)
	}
}
