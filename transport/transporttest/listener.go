package transporttest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// address: a listener knows where it can be reached, also when it is closed.
func address(p *place) {
	for range 2 {
		if a := p.l.Addr(); a == nil || a.Network() == "" {
			p.Fatalf("Addr: %v", a)
		}
		_ = p.l.Close()
	}
}

// identity: both sides know the credentials of their peer, and each conn has its own session name.
func identity(p *place) {
	sessions := map[string]bool{}
	for range 3 {
		dialed, accepted, sent := p.request(hello)
		p.wantFrame(accepted, hello)
		p.reply(dialed, accepted, hello)
		p.wantNoError(p.ends("Send", sent))
		p.wantPeer("the peer of the listener's conn", accepted.Peer(), p.cfg.Subjects)
		p.wantPeer("the peer of the dialer's conn", dialed.Peer(), p.cfg.ListenerSubjects)
		sessions[accepted.Peer().Session] = true
		_ = dialed.Close()
	}
	if sessions[""] {
		p.Error("a session has no name")
	}
}

func (p *place) wantPeer(what string, peer transport.Peer, subjects []string) {
	p.Helper()
	if peer.Transport == "" || p.cfg.Kind != "" && peer.Transport != p.cfg.Kind {
		p.Errorf("%s has the transport %q, want %q", what, peer.Transport, p.cfg.Kind)
	}
	var got []string
	for _, c := range peer.Creds {
		got = append(got, c.Subject())
	}
	if !slices.Equal(got, subjects) {
		p.Errorf("%s has proven to be %q, want %q", what, got, subjects)
	}
}

// acceptEnded: Accept with a context that has ended returns its cause.
func acceptEnded(p *place) {
	_, err := p.l.Accept(p.ended())
	p.wantEnded("Accept", err)
	p.exchange(hello)
}

// acceptCancelled: an Accept that waits ends with its context, and the next one goes on.
func acceptCancelled(p *place) {
	for i := range 20 {
		ctx, cancel := context.WithCancelCause(p.ctx)
		accepted := start(func() error {
			_, err := p.l.Accept(ctx)
			return err
		})
		yield(i * i)
		cancel(errEnded)
		p.wantEnded("Accept", p.ends("Accept", accepted))
		if i%5 == 0 {
			p.exchange(hello)
		}
	}
}

// dialEnded: Dial with a context that has ended fails, and leaves nothing behind.
func dialEnded(p *place) {
	if c, err := p.dialer.Dial(p.ended()); err == nil {
		if c.Send(p.ended(), hello) == nil { // some wires connect late
			p.Error("Dial and Send with an ended context succeed")
		}
		_ = c.Close()
	}
	p.exchange(hello)
}

// listenerClose: Accept returns, now and later, and no client can connect.
func listenerClose(p *place) {
	waiting := start(func() error {
		_, err := p.l.Accept(p.ctx)
		return err
	})
	yield(100)
	p.wantNoError(p.l.Close())
	p.wantClosed("Accept that waits while the listener is closed", p.ends("Accept", waiting))
	_, err := p.l.Accept(p.ctx)
	p.wantClosed("Accept after Close", err)
	first, second := start(p.l.Close), start(p.l.Close)
	p.wantNoError(p.ends("Close", first))
	p.wantNoError(p.ends("Close", second))
	p.noAnswer()
}

// noAnswer checks that the listener does not answer.
func (p *place) noAnswer() {
	p.Helper()
	c, err := p.dialer.Dial(p.ctx)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	if c.Send(p.ctx, hello) != nil {
		return
	}
	if f, err := c.Receive(p.ctx, nil); err == nil || p.ctx.Err() != nil {
		p.Fatalf("a closed listener can be dialed, sent to, and answers %s, %v", short(f), err)
	}
}

// listenerKeepsConns: accepted conns stay open when their listener is closed.
func listenerKeepsConns(p *place) {
	dialed, accepted, sent := p.request(hello)
	p.wantFrame(accepted, hello)
	p.wantNoError(p.l.Close())
	if accepted.Context().Err() != nil {
		p.Fatalf("the Context ended with the listener: %v", context.Cause(accepted.Context()))
	}
	if !p.cfg.OneShot {
		p.wantNoError(p.ends("Send", sent))
		p.exchangeOn(dialed, accepted)
	}
	p.reply(dialed, accepted, frame(100, 1))
}

// listenerDropsWaiting: a conn that was not accepted is closed with the listener.
func listenerDropsWaiting(p *place) {
	c := p.dial()
	p.send(c, hello)
	p.wantNoError(p.l.Close())
	p.seesTheEnd(c)
}

// listenAgain: Listen works again after the listener was closed.
func listenAgain(p *place) {
	for range 3 {
		p.exchange(hello)
		p.wantNoError(p.l.Close())
		p.listen()
	}
	p.exchange(hello)
}

// soon is less than the time limit of a handshake, and more than an exchange needs.
const soon = 4 * time.Second

// silentPeers: peers that connect and send nothing do not delay other peers.
func silentPeers(p *place) {
	for range 10 {
		var c io.Closer
		var err error
		if p.cfg.Silent != nil {
			c, err = p.cfg.Silent(p.ctx, p.pair, p.l)
		} else {
			c, err = p.dialer.Dial(p.ctx)
		}
		p.wantNoError(err)
		p.Cleanup(func() { _ = c.Close() })
	}
	began := time.Now()
	ctx, stop := context.WithCancel(p.ctx)
	serving := start(func() error {
		for {
			c, err := p.l.Accept(ctx)
			if err != nil {
				return nil
			}
			p.Cleanup(func() { _ = c.Close() })
			go func() { // ends with the conn
				if f, err := c.Receive(p.ctx, nil); err == nil {
					_ = c.Send(p.ctx, f)
				}
				if p.cfg.OneShot {
					_ = c.Close()
				}
			}()
		}
	})
	dialed := p.dial()
	sent := start(func() error { return dialed.Send(p.ctx, hello) })
	got, err := dialed.Receive(p.ctx, nil)
	p.wantNoError(err)
	if !bytes.Equal(got, hello) {
		p.Fatalf("Receive: %s, want %s", short(got), short(hello))
	}
	p.wantNoError(p.ends("Send", sent))
	if took := time.Since(began); took > soon {
		p.Errorf("silent peers have delayed another by %v", took)
	}
	stop()
	_ = p.ends("Accept", serving)
	p.wantNoError(p.l.Close())
}
