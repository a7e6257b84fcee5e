package transporttest

import (
	"errors"
	"runtime"

	"github.com/rudderpost/rudderpost/transport"
)

// wantFrameError sees that Receive has ended, now and later, for a reason.
func (p *place) wantFrameError(c transport.Conn, reason transport.Reason) *transport.FrameError {
	p.Helper()
	var bad, again *transport.FrameError
	_, err := c.Receive(p.ctx, nil)
	if !errors.As(err, &bad) || bad.Reason != reason {
		p.Fatalf("Receive: %v, want a *transport.FrameError with reason %d", err, reason)
	}
	if _, err := c.Receive(p.ctx, nil); !errors.As(err, &again) || *again != *bad {
		p.Fatalf("the next Receive: %v, want %v again", err, bad)
	}
	return bad
}

// tooLarge: a frame longer than MaxFrame ends receiving, and not sending.
func tooLarge(p *place) {
	dialed, accepted := p.connect()
	big := frame(p.cfg.MaxFrame+1, 1)
	sent := start(func() error { return dialed.Send(p.ctx, big) })
	if bad := p.wantFrameError(accepted, transport.TooLarge); bad.Limit != p.cfg.MaxFrame {
		p.Errorf("Limit is %d, want %d", bad.Limit, p.cfg.MaxFrame)
	}
	if p.cfg.Mute {
		_ = accepted.Close()
		_ = p.ends("Send", sent)
		return
	}
	if accepted.Context().Err() != nil {
		p.Fatal("the Context has ended, though the peer can hear us")
	}
	p.send(accepted, hello)
	p.wantFrame(dialed, hello)
	_ = accepted.Close()
	_ = p.ends("Send", sent)
}

// endless: memory does not grow with a frame that does not end.
func endless(p *place) {
	raw, accepted := p.raw(`{"x":"`)
	written := make(chan struct{})
	more := make([]byte, 64<<10)
	for i := range more {
		more[i] = 'x'
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		defer close(written)
		for range 16 * p.cfg.MaxFrame / len(more) {
			if _, err := raw.Write(more); err != nil {
				return
			}
		}
	}()
	_ = p.wantFrameError(accepted, transport.TooLarge)
	runtime.ReadMemStats(&after)
	const slack = 8 << 20
	if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(8*p.cfg.MaxFrame+slack); took > limit {
		p.Errorf("%d bytes were allocated for frames of at most %d bytes", took, p.cfg.MaxFrame)
	}
	_ = accepted.Close()
	_ = raw.Close()
	<-written
}
