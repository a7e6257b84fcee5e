package transport

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rudderpost/rudderpost/internal/netfd"
)

// idleAfter is how long the peer is silent when the read loop returns netfd.Idle.
const idleAfter = 30 * time.Millisecond

// Fast returns the fast path of the conn: a read loop with a callback, and writes that do not block. It is for packages
// mgr, client and transporttest, which find it with a type assertion on interface{ Fast() netfd.FrameConn }. So each
// conn that is or embeds a *Stream has it. The result uses the Stream and allocates nothing.
//
// It works for a Stream without a descriptor too: its read loop then reads plainly, and the rest is not supported.
func (s *Stream) Fast() netfd.FrameConn { return frameConn{s} }

// frameConn implements netfd.FrameConn.
type frameConn struct{ s *Stream }

func (f frameConn) ReadLoop(ctx context.Context, onFrame func(frame []byte, err error) (more bool)) netfd.Result {
	return f.s.readLoop(ctx, onFrame)
}

func (f frameConn) TryWriteFrames(frames ...[]byte) (written bool, err error) {
	return f.s.tryWriteFrames(frames)
}

func (f frameConn) TryWriteParts(head, body []byte, tail string) (written bool, err error) {
	return f.s.tryWriteParts(head, body, tail)
}

func (f frameConn) WriteParts(ctx context.Context, head, body []byte, tail string) error {
	return f.s.writeBuffers(ctx, partBuffers(head, body, tail))
}

func (f frameConn) Park(p *netfd.Poller, wake func()) bool { return f.s.park(p, wake) }

func (f frameConn) Unpark(p *netfd.Poller) { p.Wake(&f.s.fd) }

// A readLoop is the state of Stream.readLoop. Only the goroutine that runs the loop uses it.
//
// The goroutine waits with one of three read deadlines. setWaitDeadline chooses it before each wait:
//
//	deadline    when                                               idleMark  if it passes
//	the limit   a frame has begun, or the first frame is awaited   -1        the conn ends with TimedOut
//	none        the peer sent nothing since the loop was Idle      -1        -
//	idleAfter   all other waits                                    >= 0      see below
//
// The deadline idleAfter stays set while frames come, because to set it costs time. When it passes and no frame has come
// since it was set, the loop returns Idle. Otherwise the loop reads once more and sets it again.
type readLoop struct {
	ctx        context.Context
	onFrame    func(frame []byte, err error) (more bool)
	onReadable func() (done bool) // Stream.onReadable, bound once
	err        error              // why no more can be read

	frames   int // how many frames were passed to onFrame
	idleMark int // frames when the deadline idleAfter was set; -1: it is not set

	stopped    bool // onFrame shall not be called again
	knownEmpty bool // the last read emptied the descriptor, so the next is skipped: 13.8 and not 15.6 µs for an echo (BenchmarkConverse)
	active     bool // bytes have come since the loop was Idle
}

// readLoop implements netfd.FrameConn.ReadLoop.
func (s *Stream) readLoop(ctx context.Context, onFrame func(frame []byte, err error) (more bool)) netfd.Result {
	if !s.fd.HasDescriptor() {
		s.readPlainly(ctx, onFrame)
		return netfd.Stopped
	}
	l := &s.loop
	if l.onReadable == nil {
		l.onReadable, l.idleMark = s.onReadable, -1
	}
	l.ctx, l.onFrame, l.stopped, l.err, l.knownEmpty = ctx, onFrame, false, nil, false
	for s.handleBuffered() {
		var err error
		if l.idleMark < 0 {
			err = s.prepareRead(ctx)
		}
		if err == nil {
			err = s.fd.ReadLoop(l.onReadable)
			if l.stopped {
				return netfd.Stopped
			}
			if l.idleMark >= 0 && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !s.fd.Closed() {
				idle := l.idleMark == l.frames
				l.idleMark = -1
				if idle {
					l.active = false
					return netfd.Idle
				}
				continue // frames have come since the deadline was set
			}
			if err == nil {
				err = l.err
			}
			err = s.readError(ctx, err)
		}
		onFrame(nil, err)
		return netfd.Stopped
	}
	return netfd.Stopped
}

// readPlainly is readLoop for a stream without a descriptor.
func (s *Stream) readPlainly(ctx context.Context, onFrame func(frame []byte, err error) (more bool)) {
	for {
		frame, err := s.nextFrame()
		if frame == nil && err == nil {
			if err = s.read(ctx); err == nil {
				continue
			}
		}
		if !onFrame(frame, err) || err != nil {
			return
		}
	}
}

// onReadable reads from the descriptor until it is empty, and then returns false. It is the callback of
// netfd.Conn.ReadLoop, which calls it before the first wait too.
func (s *Stream) onReadable() (done bool) {
	l := &s.loop
	for s.handleBuffered() {
		// A peer that has sent two requests will probably send a third one. So a read that would only tell that the
		// descriptor is empty is skipped, and the kernel announces what comes. The event for a hang-up may have come
		// together with the last bytes: the deadline idleAfter finds it.
		skip := l.knownEmpty && s.scan.Depth == 0
		if !skip && l.ctx.Err() != nil { // otherwise a peer that never pauses would be read for ever
			l.err = os.ErrDeadlineExceeded
			return true
		}
		if skip || !s.in.tryRead() {
			l.knownEmpty = false
			l.err = s.setWaitDeadline()
			return l.err != nil
		}
		if l.err = s.in.err; l.err != nil {
			return true
		}
		l.active = true // also after blanks only: the conn was woken by them, and may become Idle again
		l.knownEmpty = s.in.drained && l.frames > 0
	}
	return true
}

// handleBuffered passes the frames in the buffer to onFrame, and reports whether onFrame wants more.
func (s *Stream) handleBuffered() (more bool) {
	l := &s.loop
	for !l.stopped {
		frame, err := s.nextFrame()
		switch {
		case frame != nil:
			l.frames++
			l.active = true
			l.stopped = !l.onFrame(frame, nil)
		case err != nil:
			l.onFrame(nil, err)
			l.stopped = true
		default:
			return true
		}
	}
	return false
}

// setWaitDeadline sets the deadline for the next wait, see readLoop.
func (s *Stream) setWaitDeadline() error {
	l := &s.loop
	switch {
	case s.hasLimit() || !l.active:
		l.idleMark = -1
		if err := s.setLimit(); err != nil {
			return err
		}
	case l.idleMark < 0:
		l.idleMark = l.frames
		s.deadline = time.Now().Add(idleAfter)
		if err := s.bytes.SetReadDeadline(s.deadline); err != nil {
			return err
		}
	default:
		return nil
	}
	if l.ctx.Err() != nil { // the deadline above may have replaced that of the context
		return os.ErrDeadlineExceeded
	}
	return nil
}

// park implements netfd.FrameConn.Park. The Stream belongs to the goroutine that wake starts as soon as its descriptor is
// armed.
func (s *Stream) park(p *netfd.Poller, wake func()) bool {
	s.discardFrame()
	if !s.fd.HasDescriptor() || len(s.in.data) > 0 {
		return false
	}
	s.readEnd.Watch(context.Background()) // the Poller has a context for all its conns
	return p.Add(&s.fd, wake)
}
