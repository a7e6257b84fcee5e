package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// A Hearer is a Conn that calls who answers its frames where it reads them. That saves the system call that
// only learns that there is nothing more to read yet, and with it an eighth of the time of an echo
// (BenchmarkConverse). A Stream is one.
type Hearer interface {
	Conn

	// Hear is Receive again and again: it calls heard when a frame has come, which is valid until heard returns
	// or receives another, or with the error for which none will come, and goes on while heard returns true. More
	// frames that have come already heard may receive itself, with a context that has ended.
	//
	// It also returns, and says so, when the peer has been quiet for a moment: who hears many conns may have the
	// quiet ones watched (Watch), or wait with a smaller stack than one that has been used. Until then it may take
	// so long to notice that a peer hung up right behind what it said; at most 30 ms.
	Hear(ctx context.Context, heard func(frame []byte, err error) (goOn bool)) (quiet bool)

	// TrySend is Send for heard, while which nobody else can receive, so that it had better not wait. It reports
	// whether everything has been sent. If not, and there is no error, Send will first send what is left, also when
	// it is given no frame; until then the frames belong to the conn. The error is errors.ErrUnsupported, and nothing
	// has happened, where only Send can send: because nobody hears, or the conn has no descriptor.
	TrySend(frames ...[]byte) (sent bool, err error)

	// TrySendParts is the same for one frame in three parts.
	TrySendParts(head, body []byte, tail string) (sent bool, err error)
}

// quietAfter is what Hear takes for a moment.
const quietAfter = 30 * time.Millisecond

// A hearing is what Hear knows of its stream. Only who hears touches it, but for inside.
type hearing struct {
	ctx   context.Context
	heard func(frame []byte, err error) bool
	try   func(fd uintptr) (done bool) // tryHear
	fd    uintptr                      // the descriptor, meanwhile
	err   error                        // why nothing can be read

	turns int // how often heard was given a frame
	timed int // turns when the read deadline was set to the end of a moment; -1: it is not

	inside  atomic.Bool // tryHear runs, and the descriptor is in use
	over    bool        // heard shall not be called again
	drained bool        // the last read took all that had come, so the next is left out: 13.8 and not 15.6 µs for an echo (BenchmarkConverse)
	used    bool        // something has come since the peer was quiet last
}

// Hear implements Hearer.
func (s *Stream) Hear(ctx context.Context, heard func(frame []byte, err error) (goOn bool)) (quiet bool) {
	if s.in.raw == nil {
		s.hearPlainly(ctx, heard)
		return false
	}
	h := &s.hearing
	if h.try == nil {
		h.try, h.timed = s.tryHear, -1
	}
	h.ctx, h.heard, h.over, h.err, h.drained = ctx, heard, false, nil, false
	for s.hearHeld() {
		var err error
		if h.timed < 0 {
			err = s.prepare(ctx)
		}
		if err == nil {
			err = s.in.raw.Read(h.try)
			if h.over {
				return false
			}
			if h.timed >= 0 && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !s.closed.Load() {
				quiet, h.timed = h.timed == h.turns, -1
				if quiet {
					h.used = false
					return true
				}
				continue // it has spoken since: look whether it is still there
			}
			if err == nil {
				err = h.err
			}
			err = s.unreadable(ctx, err)
		}
		heard(nil, err)
		return false
	}
	return false
}

// hearPlainly is Hear for a stream without a descriptor.
func (s *Stream) hearPlainly(ctx context.Context, heard func(frame []byte, err error) (goOn bool)) {
	for {
		frame, err := s.cut()
		if frame == nil && err == nil {
			if err = s.read(ctx); err == nil {
				continue
			}
		}
		if !heard(frame, err) || err != nil {
			return
		}
	}
}

// tryHear hears what there is. It runs when the descriptor can be read, and also when nobody knows.
func (s *Stream) tryHear(fd uintptr) (done bool) {
	h := &s.hearing
	h.inside.Store(true)
	h.fd = fd
	done = s.hearAll()
	h.inside.Store(false)
	return done
}

// hearAll hears until the peer must be waited for, and then returns false.
func (s *Stream) hearAll() (done bool) {
	h := &s.hearing
	for s.hearHeld() {
		// A peer that has asked twice will most likely ask again: it is not looked for what it has not said, since
		// the descriptor will tell. That it hung up may have been told together with its last words.
		skip := h.drained && s.scan.depth == 0
		if !skip && h.ctx.Err() != nil { // else who never stops talking would be heard for ever
			h.err = os.ErrDeadlineExceeded
			return true
		}
		if skip || !s.in.tryRead(h.fd) {
			h.drained = false
			h.err = s.rest()
			return h.err != nil
		}
		if h.err = s.in.err; h.err != nil {
			return true
		}
		h.used = true // also by what is no frame: who is woken by that is quiet again
		h.drained = shortIsAll && s.in.all && h.turns > 0
	}
	return true
}

// hearHeld hears the frames that have been read, and reports whether more are wanted.
func (s *Stream) hearHeld() (more bool) {
	h := &s.hearing
	for !h.over {
		frame, err := s.cut()
		switch {
		case frame != nil:
			h.turns++
			h.used = true
			h.over = !h.heard(frame, nil)
		case err != nil:
			h.heard(nil, err)
			h.over = true
		default:
			return true
		}
	}
	return false
}

// rest sets the deadline for what the peer says next.
func (s *Stream) rest() error {
	h := &s.hearing
	switch {
	case s.limited() || !h.used:
		h.timed = -1
		if err := s.limit(); err != nil {
			return err
		}
	case h.timed < 0:
		h.timed = h.turns
		s.deadline = time.Now().Add(quietAfter)
		if err := s.bytes.SetReadDeadline(s.deadline); err != nil {
			return err
		}
	default:
		return nil
	}
	if h.ctx.Err() != nil { // its deadline may have been overwritten
		return os.ErrDeadlineExceeded
	}
	return nil
}

// TrySend implements Hearer.
func (s *Stream) TrySend(frames ...[]byte) (sent bool, err error) {
	if err := s.cannotTry(); err != nil {
		return false, err
	}
	if total(frames) > maxCopied {
		return s.tryPieces(pieces(frames))
	}
	buf := sendBuffers.Get().(*[]byte)
	lines := appendLines((*buf)[:0], frames)
	n, err := tryWrite(s.hearing.fd, lines)
	if sent = n == len(lines); !sent && err == nil {
		s.left = net.Buffers{slices.Clone(lines[n:])}
	}
	*buf = lines
	sendBuffers.Put(buf)
	if err != nil {
		s.gone(err)
	}
	return sent, err
}

// TrySendParts implements Hearer.
func (s *Stream) TrySendParts(head, body []byte, tail string) (sent bool, err error) {
	if err := s.cannotTry(); err != nil {
		return false, err
	}
	return s.tryPieces(net.Buffers{head, body, append([]byte(tail), '\n')})
}

// cannotTry says why nothing can be sent now.
func (s *Stream) cannotTry() error {
	if err := s.cannotSend(); err != nil {
		return err
	}
	if !s.hearing.inside.Load() || s.out.raw == nil || len(s.left) > 0 {
		return errors.ErrUnsupported
	}
	return nil
}

// tryPieces writes what the descriptor takes, and keeps the rest for Send.
func (s *Stream) tryPieces(pieces net.Buffers) (sent bool, err error) {
	if s.left, err = tryWriteAll(s.hearing.fd, pieces); err != nil {
		s.gone(err)
	}
	return len(s.left) == 0, err
}
