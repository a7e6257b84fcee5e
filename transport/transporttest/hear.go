package transporttest

import (
	"bytes"
	"errors"

	"github.com/rudderpost/rudderpost/transport"
)

// hear is pipelining at a conn that is a transport.Hearer, of short frames and of some in parts.
func hear(p *place) {
	dialed, accepted := p.connect()
	h, ok := accepted.(transport.Hearer)
	if !ok {
		return
	}
	all := append(frames(300), frame(min(p.cfg.MaxFrame, 300<<10), 300), frame(24, 301))
	echoed := start(func() error { return hearAndEcho(p, h) })
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
	_ = p.ends("Hear after the peer has closed", echoed)
}

// hearAndEcho sends back what it hears until it cannot: where it hears, or else when that has returned.
func hearAndEcho(p *place, h transport.Hearer) (ended error) {
	for ended == nil {
		var left []byte
		tried := false
		h.Hear(p.ctx, func(f []byte, err error) bool {
			if ended = err; err != nil {
				return false
			}
			f = bytes.Clone(f) // what is left of it belongs to the conn
			var sent bool
			if len(f) > 1000 {
				sent, err = h.TrySendParts(f[:9], f[9:len(f)-1], string(f[len(f)-1:]))
			} else {
				sent, err = h.TrySend(f)
			}
			if tried = err == nil; errors.Is(err, errors.ErrUnsupported) {
				left, err = f, nil
			}
			ended = err
			return sent
		})
		switch {
		case ended != nil:
		case left != nil:
			ended = h.Send(p.ctx, left)
		case tried:
			ended = h.Send(p.ctx)
		}
	}
	return ended
}
