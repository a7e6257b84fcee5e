package transporttest

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/rudderpost/rudderpost/transport"
)

// pipelining sends 1000 frames without waiting for their echoes.
func pipelining(p *place) {
	dialed, accepted := p.connect()
	all := frames(1000)
	echoed := start(func() error { return echoAll(p, accepted) })
	sent := start(func() error {
		for _, f := range all {
			if err := dialed.Send(p.ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
	p.wantNoError(expect(p, dialed, all...))
	p.wantNoError(p.ends("Send", sent))
	_ = dialed.Close()
	_ = p.ends("Receive after the peer has closed", echoed)
}

// echoAll sends back each frame that it receives, until that fails.
func echoAll(p *place, c transport.Conn) error {
	var buf []byte
	for {
		f, err := c.Receive(p.ctx, buf[:0])
		if err != nil {
			return err
		}
		buf = f
		if err := c.Send(p.ctx, f); err != nil {
			return err
		}
	}
}

// manyFrames passes many frames to one Send, in all more and less than buffers hold.
func manyFrames(p *place) {
	dialed, accepted := p.connect()
	for _, count := range []int{1, 2, 100, 1500} {
		all := frames(count)
		sent := start(func() error { return dialed.Send(p.ctx, all...) })
		p.wantNoError(expect(p, accepted, all...))
		p.wantNoError(p.ends("Send", sent))
	}
}

// sendNothing: Send without frames sends nothing.
func sendNothing(p *place) {
	dialed, accepted := p.connect()
	p.send(dialed)
	p.send(dialed, hello)
	p.wantFrame(accepted, hello)
}

// load sends and receives on both ends at the same time.
func load(p *place) {
	dialed, accepted := p.connect()
	const count = 2000
	there, back := frames(count), frames(count + 1)[1:]
	running := []<-chan error{
		start(func() error { return sendSome(p, dialed, there) }),
		start(func() error { return sendSome(p, accepted, back) }),
		start(func() error { return expect(p, dialed, back...) }),
		start(func() error { return expect(p, accepted, there...) }),
	}
	for _, done := range running {
		p.wantNoError(p.ends("Send or Receive", done))
	}
}

// sendSome sends all frames, one to seven at a time.
func sendSome(p *place, c transport.Conn, all [][]byte) error {
	for n := 1; len(all) > 0; n = n%7 + 1 {
		n := min(n, len(all))
		if err := c.Send(p.ctx, all[:n]...); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// manyConns has 200 conns at once.
func manyConns(p *place) {
	const count = 200
	var serving sync.WaitGroup
	defer serving.Wait()
	accepted := start(func() error {
		for range count {
			c, err := p.l.Accept(p.ctx)
			if err != nil {
				return fmt.Errorf("accepting: %w", err)
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				if p.cfg.OneShot {
					if f, err := c.Receive(p.ctx, nil); err == nil {
						_ = c.Send(p.ctx, f)
					}
					return
				}
				_ = echoAll(p, c)
			})
		}
		return nil
	})

	var all sync.WaitGroup // no conn closes before all have their reply
	all.Add(count)
	done := make(chan error, count)
	dialing := make(chan struct{}, 25) // more handshakes at a time may take longer than a listener allows, on a slow machine
	for i := range count {
		go func() { done <- converse(p, frame(100+i, i), dialing, &all) }()
	}
	for range count {
		if err := p.ends("a conversation", done); err != nil {
			p.Error(err)
		}
	}
	p.wantNoError(p.ends("Accept", accepted))
}

// converse opens a conn, has a frame echoed, and keeps the conn until all are answered. It holds a place of dialing until
// its own frame is answered.
func converse(p *place, f []byte, dialing chan struct{}, all *sync.WaitGroup) error {
	dialing <- struct{}{}
	answered := sync.OnceFunc(func() {
		<-dialing
		all.Done()
	})
	defer answered()
	c, err := p.dialer.Dial(p.ctx)
	if err != nil {
		return fmt.Errorf("dialing: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Send(p.ctx, f); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := expect(p, c, f); err != nil {
		return err
	}
	if p.cfg.OneShot {
		if _, err := c.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
			return fmt.Errorf("receiving after the reply: %w, want io.EOF", err)
		}
		return nil
	}
	answered()
	all.Wait()
	return nil
}
