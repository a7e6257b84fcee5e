package transporttest

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// errEnded is the cause of the contexts that the suite ends.
var errEnded = errors.New("ended by the test")

// ended returns a context that has ended.
func (p *place) ended() context.Context {
	ctx, cancel := context.WithCancelCause(p.ctx)
	cancel(errEnded)
	return ctx
}

// yield lets other goroutines run n times, so that the order of events differs. No test depends on it.
func yield(n int) {
	for range n {
		runtime.Gosched()
	}
}

func (p *place) wantEnded(what string, err error) {
	p.Helper()
	if !errors.Is(err, errEnded) {
		p.Fatalf("%s: %v, want the cause of its context (%v)", what, err, errEnded)
	}
}

// receiveEnded: with a context that has ended, Receive returns a frame that is here or the cause,
// and loses nothing.
func receiveEnded(p *place) {
	dialed, accepted := p.connect()
	_, err := accepted.Receive(p.ended(), nil)
	p.wantEnded("Receive", err)
	const count = 100
	all := frames(count)
	p.send(dialed, all...)
	for i := 0; i < count; {
		ctx := p.ctx
		if i%2 == 1 {
			ctx = p.ended()
		}
		f, err := accepted.Receive(ctx, nil)
		if i%2 == 1 && errors.Is(err, errEnded) {
			p.wantFrame(accepted, all[i])
			i++
			continue
		}
		p.wantNoError(err)
		if string(f) != string(all[i]) {
			p.Fatalf("Receive: %s, want %s", short(f), short(all[i]))
		}
		i++
	}
	p.exchangeOn(dialed, accepted)
}

// exchangeOn sees that a conn works in both directions.
func (p *place) exchangeOn(a, b transport.Conn) {
	p.Helper()
	p.send(a, hello)
	p.wantFrame(b, hello)
	p.send(b, hello)
	p.wantFrame(a, hello)
}

// receiveCancelled: a Receive that waits ends with its context, and the next one goes on.
func receiveCancelled(p *place) {
	dialed, accepted := p.connect()
	for i, f := range frames(50) {
		ctx, cancel := context.WithCancelCause(p.ctx)
		received := start(func() error {
			_, err := accepted.Receive(ctx, nil)
			return err
		})
		yield(i * i)
		cancel(errEnded)
		p.wantEnded("Receive", p.ends("Receive", received))
		p.send(dialed, f)
		p.wantFrame(accepted, f)
	}
	for i, f := range frames(50) { // and when the frame comes in the same instant
		ctx, cancel := context.WithCancelCause(p.ctx)
		received := start(func() error { return expectWith(ctx, accepted, f) })
		sent := start(func() error { return dialed.Send(p.ctx, f) })
		yield(i)
		cancel(errEnded)
		p.wantNoError(p.ends("Send", sent))
		if err := p.ends("Receive", received); err != nil {
			p.wantEnded("Receive", err)
			p.wantFrame(accepted, f)
		}
	}
	p.exchangeOn(dialed, accepted)
}

func expectWith(ctx context.Context, c transport.Conn, want []byte) error {
	got, err := c.Receive(ctx, nil)
	if err == nil && string(got) != string(want) {
		err = errors.New("wrong frame " + short(got))
	}
	return err
}

// sendEnded: with a context that has ended before, Send sends nothing and harms nothing.
func sendEnded(p *place) {
	dialed, accepted := p.connect()
	p.wantEnded("Send", dialed.Send(p.ended(), frame(30, 1)))
	p.exchangeOn(dialed, accepted)
	ctx, cancel := context.WithCancelCause(p.ctx)
	p.wantNoError(dialed.Send(ctx, hello))
	cancel(errEnded) // after the Send: it has no effect
	p.wantFrame(accepted, hello)
	p.exchangeOn(dialed, accepted)
}

// unread is more bytes than a transport should buffer for a peer that does not read.
const unread = 1 << 30

// sendUnread sends to a peer that does not read until Send fails, and calls sent after each frame.
func sendUnread(ctx context.Context, c transport.Conn, size int, sent func()) error {
	f := frame(size, 1)
	for total := 0; total < unread; total += size {
		if err := c.Send(ctx, f); err != nil {
			return err
		}
		sent()
	}
	return errors.New("a Send to a peer that does not read never blocks")
}

// slowReaderCancelled: a Send that waits for the peer ends with its context.
func slowReaderCancelled(p *place) {
	_, accepted := p.connect()
	ctx, cancel := context.WithTimeoutCause(p.ctx, 300*time.Millisecond, errEnded)
	defer cancel()
	err := sendUnread(ctx, accepted, min(p.cfg.MaxFrame, 64<<10), func() {})
	p.wantEnded("Send", err)
}

// slowReaderClosed: a Send that waits for the peer ends when either of them closes.
func slowReaderClosed(p *place) {
	for _, self := range []bool{true, false} {
		dialed, accepted := p.connect()
		progress := make(chan struct{}, 1)
		sent := start(func() error {
			return sendUnread(p.ctx, accepted, min(p.cfg.MaxFrame, 64<<10), func() {
				select {
				case progress <- struct{}{}:
				default:
				}
			})
		})
		for stalled := false; !stalled; {
			select {
			case <-progress:
			case <-time.After(100 * time.Millisecond):
				stalled = true
			}
		}
		if self {
			_ = accepted.Close()
			p.wantClosed("Send that waits while the conn is closed", p.ends("Send", sent))
		} else {
			_ = dialed.Close()
			if p.ends("Send", sent) == nil {
				p.Fatal("Send to a peer that has closed succeeds")
			}
			p.contextEnds(accepted)
		}
	}
}
