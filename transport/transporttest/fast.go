package transporttest

import (
	"bytes"
	"context"
	"errors"

	"github.com/rudderpost/rudderpost/internal/netfd"
	"github.com/rudderpost/rudderpost/transport"
)

// fastPath is pipelining over the fast path of an accepted conn, of short frames and of frames in parts. It passes at once
// for a conn without one.
func fastPath(p *place) {
	dialed, accepted := p.connect()
	if f, ok := accepted.(interface{ Fast() netfd.FrameConn }); ok {
		pipeline(p, dialed, "ReadLoop", func() error { return echoFast(p, f.Fast(), accepted) })
	}
}

// plainPath is the same over Receive and Send only: mgr uses them for a conn without a fast path, such as one that embeds
// a transport.Conn.
func plainPath(p *place) {
	dialed, accepted := p.connect()
	pipeline(p, dialed, "Receive", func() error { return echoPlain(p.ctx, struct{ transport.Conn }{accepted}) })
}

// pipeline sends many frames without waiting, while echo sends them back at the other end, and expects them in order. It
// ends echo by closing the dialed conn.
func pipeline(p *place, dialed transport.Conn, name string, echo func() error) {
	all := append(frames(300), frame(min(p.cfg.MaxFrame, 300<<10), 300), frame(24, 301))
	echoed := start(echo)
	sent := start(func() error {
		for i := range all {
			if err := dialed.Send(p.ctx, all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	p.wantNoError(expect(p, dialed, all...))
	p.wantNoError(p.ends("Send", sent))
	_ = dialed.Close()
	_ = p.ends(name+" after the peer has closed", echoed)
}

// echoPlain sends back each frame that it receives, until that fails.
func echoPlain(ctx context.Context, conn transport.Conn) error {
	for {
		f, err := conn.Receive(ctx, nil)
		if err != nil {
			return err
		}
		if err := conn.Send(ctx, f); err != nil {
			return err
		}
	}
}

// echoFast sends back each frame that it reads, until that fails: inside the read loop, or else after the loop has
// returned.
func echoFast(p *place, fast netfd.FrameConn, conn transport.Conn) (ended error) {
	for ended == nil {
		var left []byte
		tried := false
		fast.ReadLoop(p.ctx, func(f []byte, err error) bool {
			if ended = err; err != nil {
				return false
			}
			f = bytes.Clone(f) // a rest of it belongs to the conn
			var written bool
			if len(f) > 1000 {
				written, err = fast.TryWriteParts(f[:9], f[9:len(f)-1], string(f[len(f)-1:]))
			} else {
				written, err = fast.TryWriteFrames(f)
			}
			if tried = err == nil; errors.Is(err, errors.ErrUnsupported) {
				left, err = f, nil
			}
			ended = err
			return written
		})
		switch {
		case ended != nil:
		case len(left) > 1000:
			ended = fast.WriteParts(p.ctx, left[:9], left[9:len(left)-1], string(left[len(left)-1:]))
		case left != nil:
			ended = conn.Send(p.ctx, left)
		case tried:
			ended = conn.Send(p.ctx)
		}
	}
	return ended
}
