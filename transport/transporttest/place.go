package transporttest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// patience is the maximum time of each step. No test waits until it has passed.
var patience = 30 * time.Second

// A place is the listener of a subtest, with the Dialer for it.
type place struct {
	*testing.T
	cfg    Config
	pair   Pair
	dialer transport.Dialer
	l      transport.Listener
	ctx    context.Context // ends when patience does
}

func newPlace(t *testing.T, newPair func(testing.TB) Pair, cfg Config) *place {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	p := &place{T: t, cfg: cfg, pair: newPair(t), ctx: ctx}
	p.listen()
	return p
}

func (p *place) listen() {
	p.Helper()
	l, err := p.pair.Transport.Listen(p.ctx)
	if err != nil {
		p.Fatalf("Listen: %v", err)
	}
	p.Cleanup(func() { _ = l.Close() })
	p.l, p.dialer = l, p.pair.Dialer
	if p.pair.At != nil {
		p.dialer = p.pair.At(l.Addr())
	}
}

var hello = []byte(`{"hello":1}`)

// connect returns both ends of a new conn, on which a first frame was exchanged: some transports accept a conn only then.
func (p *place) connect() (dialed, accepted transport.Conn) {
	p.Helper()
	dialed = p.dial()
	if p.cfg.OneShot {
		p.Fatal("connect is not for conns of one frame")
	}
	p.send(dialed, hello)
	accepted = p.accept()
	p.wantFrame(accepted, hello)
	return dialed, accepted
}

// request returns both ends of a new conn on which request was sent and not received. The channel gets the result of
// Send.
func (p *place) request(request []byte) (dialed, accepted transport.Conn, sent <-chan error) {
	p.Helper()
	dialed = p.dial()
	sent = start(func() error { return dialed.Send(p.ctx, request) })
	return dialed, p.accept(), sent
}

// exchange sends frame from the dialer to the listener and back, on a new conn that it closes.
func (p *place) exchange(frame []byte) {
	p.Helper()
	dialed, accepted, sent := p.request(frame)
	p.wantFrame(accepted, frame)
	p.reply(dialed, accepted, frame)
	p.wantNoError(p.ends("Send", sent))
	_ = dialed.Close()
	_ = accepted.Close()
}

// reply sends frame to the dialer. It closes a conn for one frame then.
func (p *place) reply(dialed, accepted transport.Conn, frame []byte) {
	p.Helper()
	sent := start(func() error {
		err := accepted.Send(p.ctx, frame)
		if p.cfg.OneShot {
			_ = accepted.Close()
		}
		return err
	})
	p.wantFrame(dialed, frame)
	p.wantNoError(p.ends("Send", sent))
}

func (p *place) dial() transport.Conn {
	p.Helper()
	c, err := p.dialer.Dial(p.ctx)
	if err != nil {
		p.Fatalf("Dial: %v", err)
	}
	p.Cleanup(func() { _ = c.Close() })
	return c
}

func (p *place) accept() transport.Conn {
	p.Helper()
	c, err := p.l.Accept(p.ctx)
	if err != nil {
		p.Fatalf("Accept: %v", err)
	}
	p.Cleanup(func() { _ = c.Close() })
	return c
}

// raw opens a connection for bytes, writes first to it, and accepts it.
func (p *place) raw(first string) (io.ReadWriteCloser, transport.Conn) {
	p.Helper()
	c, err := p.cfg.Raw(p.ctx, p.pair, p.l)
	if err != nil {
		p.Fatalf("Raw: %v", err)
	}
	p.Cleanup(func() { _ = c.Close() })
	p.write(c, first)
	return c, p.accept()
}

func (p *place) write(w io.Writer, s string) {
	p.Helper()
	if s == "" {
		return
	}
	if _, err := io.WriteString(w, s); err != nil {
		p.Fatalf("writing %q: %v", short([]byte(s)), err)
	}
}

func (p *place) send(c transport.Conn, frames ...[]byte) {
	p.Helper()
	if err := c.Send(p.ctx, frames...); err != nil {
		p.Fatalf("Send: %v", err)
	}
}

func (p *place) wantFrame(c transport.Conn, want []byte) {
	p.Helper()
	got, err := c.Receive(p.ctx, nil)
	if err != nil {
		p.Fatalf("Receive: %v, want the frame %s", err, short(want))
	}
	if !bytes.Equal(got, want) {
		p.Fatalf("Receive: %s, want %s", short(got), short(want))
	}
}

func (p *place) wantNoError(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// start runs f on a goroutine and returns the channel that gets its result.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// ends waits for the result of a function that start runs.
func (p *place) ends(what string, done <-chan error) error {
	p.Helper()
	select {
	case err := <-done:
		return err
	case <-p.ctx.Done():
		p.Fatalf("%s does not return", what)
		return nil
	}
}
