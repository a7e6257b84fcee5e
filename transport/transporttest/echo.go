package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/rudderpost/rudderpost/transport"
)

// echo sends frames of the sizes at which buffers change, there and back.
func echo(p *place) {
	for i, n := range sizes(p.cfg.MaxFrame) {
		p.exchange(frame(n, i))
	}
	if p.cfg.OneShot {
		return
	}
	dialed, accepted := p.connect() // and again, all on one conn
	for i, n := range sizes(p.cfg.MaxFrame) {
		f := frame(n, i)
		sent := start(func() error { return dialed.Send(p.ctx, f) })
		p.wantFrame(accepted, f)
		p.wantNoError(p.ends("Send", sent))
		p.reply(dialed, accepted, f)
	}
}

// ownership: a frame given to Send is not written to, nor is what lies behind it in its array, and
// it is the caller's again afterwards.
func ownership(p *place) {
	for _, n := range []int{60, 4096, 100 << 10} {
		if n > p.cfg.MaxFrame {
			continue
		}
		const room = 64
		array := append(frame(n, n), bytes.Repeat([]byte{'~'}, room)...)
		before := bytes.Clone(array)
		dialed, accepted, sent := p.request(array[:n]) // its capacity reaches into the room
		if p.cfg.OneShot {
			p.wantFrame(accepted, before[:n])
			p.reply(dialed, accepted, before[:n])
		} else {
			got := start(func() error { return expect(p, accepted, before[:n]) })
			p.wantNoError(p.ends("Send", sent))
			sent = nil
			p.wantSame(array, before)
			clear(array) // it is ours
			p.wantNoError(p.ends("Receive", got))
			copy(array, before)
			got = start(func() error { return expect(p, accepted, before[:n], before[:n]) })
			p.send(dialed, array[:n:n+1], array[:n])
			p.wantSame(array, before)
			clear(array)
			p.wantNoError(p.ends("Receive", got))
		}
		if sent != nil {
			p.wantNoError(p.ends("Send", sent))
			p.wantSame(array, before)
		}
	}
}

func (p *place) wantSame(array, before []byte) {
	p.Helper()
	if !bytes.Equal(array, before) {
		p.Fatal("Send has written into its argument, or behind it")
	}
}

// expect receives frames. Other than wantFrame it may run in any goroutine.
func expect(p *place, c transport.Conn, want ...[]byte) error {
	for i, w := range want {
		got, err := c.Receive(p.ctx, nil)
		if err != nil {
			return fmt.Errorf("receiving frame %d: %w", i, err)
		}
		if !bytes.Equal(got, w) {
			return fmt.Errorf("frame %d is %s, want %s", i, short(got), short(w))
		}
	}
	return nil
}

// receiveAppends: Receive appends to dst and leaves alone what it returned before.
func receiveAppends(p *place) {
	dialed, accepted := p.connect()
	all := frames(50)
	sent := start(func() error { return dialed.Send(p.ctx, all...) })
	kept := make([][]byte, len(all))
	for i := range all {
		got, err := accepted.Receive(p.ctx, []byte("dst "))
		p.wantNoError(err)
		kept[i] = got
	}
	p.wantNoError(p.ends("Send", sent))
	for i, f := range all {
		if want := append([]byte("dst "), f...); !bytes.Equal(kept[i], want) {
			p.Fatalf("what Receive returned for frame %d is now %s, want %s", i, short(kept[i]), short(want))
		}
	}

	room := make([]byte, 4, 4096) // where dst has room, its array is used
	p.send(dialed, hello)
	got, err := accepted.Receive(p.ctx, room)
	p.wantNoError(err)
	if &got[0] != &room[0] {
		p.Fatal("Receive has not used the room in dst")
	}
}

// oneShot: one frame there, then io.EOF; the reply back, then io.EOF.
func oneShot(p *place) {
	dialed, accepted, sent := p.request(hello)
	p.wantFrame(accepted, hello)
	if _, err := accepted.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
		p.Fatalf("Receive after the one frame: %v, want io.EOF", err)
	}
	if accepted.Context().Err() != nil {
		p.Fatalf("Context ended before the reply: %v", accepted.Context().Err())
	}
	p.reply(dialed, accepted, hello)
	p.wantNoError(p.ends("Send", sent))
	if _, err := dialed.Receive(p.ctx, nil); !errors.Is(err, io.EOF) {
		p.Fatalf("Receive after the reply: %v, want io.EOF", err)
	}
}
