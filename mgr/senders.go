package mgr

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"
)

// senders is a pool of goroutines that send what conversations owe. A conn that waits for its peer
// keeps one of them; there is always another for the rest, and an idle conversation has none.
type senders struct {
	mu        sync.Mutex
	wake      sync.Cond
	ready     []*conversation // have something to send, and no sender yet, from next on
	next      int
	searching int // senders that will look at ready
	idle      int // senders that wait for wake
	closed    bool
	wait      sync.WaitGroup
}

// send hands a conversation to a sender. It never waits.
func (s *senders) send(c *conversation) {
	s.mu.Lock()
	s.ready = append(s.ready, c)
	s.ensure()
	s.mu.Unlock()
}

// ensure makes sure that somebody will look at ready. s.mu is held.
func (s *senders) ensure() {
	switch {
	case s.searching > 0:
	case s.idle > 0:
		s.idle--
		s.searching++
		s.wake.Signal()
	default:
		s.searching++
		s.wait.Go(s.work)
	}
}

// work is the life of a sender.
func (s *senders) work() {
	var w sender
	defer w.stop()
	most := 2 * runtime.GOMAXPROCS(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.next == len(s.ready) {
			s.ready, s.next = s.ready[:0], 0
			s.searching--
			if s.closed || s.idle >= most {
				return
			}
			s.idle++
			s.wake.Wait() // ensure has counted us as searching
			continue
		}
		c := s.ready[s.next]
		s.ready[s.next] = nil
		s.next++
		s.searching--
		if s.next < len(s.ready) {
			s.ensure()
		}
		s.mu.Unlock()
		c.flush(&w, c.toSend())
		s.mu.Lock()
		s.searching++
	}
}

// close ends the idle senders and waits for the others.
func (s *senders) close() {
	s.mu.Lock()
	s.closed = true
	s.searching += s.idle
	s.idle = 0
	s.wake.Broadcast()
	s.mu.Unlock()
	s.wait.Wait()
}

// A sender delivers frames, and does not wait for ever for those who do not take them.
type sender struct {
	frames  [][]byte
	results []CallResult
	last    bool // what it delivers next is all that the conversation has to say
	lost    bool // another goroutine reads instead; the conversation's lock guards it while that is writing

	mu       sync.Mutex
	conn     *conversation // the conn that it works for; nil: none
	detachAt time.Time     // when another goroutine must read conn instead of this one; zero: this one does not read it
	step     step          // what it waits for, if it does
	stepEnd  time.Time     // when the step has taken too long; zero: there is no step, or its end was reported
	timer    *time.Timer
	firesAt  time.Time // when timer fires; zero: it does not
}

// A step is something that a sender does and that may take long. The time limit of each begins when it begins: a
// Recorder, an Observer or a log handler that is slow costs no peer its conn.
type step uint8

const (
	writing   step = iota // the peer takes the replies. It has WriteTimeout for each 32 KiB; then its conn is closed
	recording             // Recorder.Begin or End runs. After stallTimeout the log says so
	observing             // Observer.CallDone runs. The same
	logging               // the log handler runs. The same
)

// stallTimeout is how long a step of the daemon's own may take before the log names it.
const stallTimeout = time.Second

// errNotRead is the reason for closing the conn of a peer that does not take its replies. The peer seldom gets it: no
// close frame can follow a message that was written in part.
var errNotRead = &wire.Error{Code: wire.CodeCancelled, Text: "the replies were not read within write-timeout"}

func (s step) String() string {
	return [...]string{"the peer", "the recorder", "the observer", "the log handler"}[s]
}

// next returns the frames of the answers that can be sent together, and the answers behind those. There are none when
// the first is in parts, and rest begins with it. With separate an answer that has a status is returned alone, with
// its status; status is 0 for all others.
func (w *sender) next(batch []*answer, separate bool) (frames [][]byte, status int, rest []*answer) {
	w.frames = w.frames[:0]
	for i, a := range batch {
		switch {
		case a.body != nil, separate && a.status != 0 && i > 0:
			return w.frames, 0, batch[i:]
		case separate && a.status != 0:
			w.frames = append(w.frames, a.frame)
			return w.frames, a.status, batch[1:]
		}
		w.frames = append(w.frames, a.frame)
	}
	return w.frames, 0, nil
}

// deliver sends replies. When that fails the conn's context ends, which ends the conversation.
func (w *sender) deliver(c *conversation, batch []*answer) {
	c.spellForKea(batch)
	w.during(c, batch, func() error { return w.send(c.m.background, c.conn, batch) })
}

// deliverRest sends what trySend has left of a batch.
func (w *sender) deliverRest(c *conversation, batch, rest []*answer) {
	w.during(c, batch, func() error {
		if err := c.conn.Send(c.m.background); err != nil {
			return err
		}
		return w.send(c.m.background, c.conn, rest)
	})
}

// during sends with an eye on the time.
func (w *sender) during(c *conversation, batch []*answer, send func() error) {
	bytes := 0
	for _, a := range batch {
		bytes += a.length()
	}
	w.begin(c, writing, c.patience(bytes))
	if err := send(); err != nil {
		w.cannotDeliver(c, err)
	} else if w.last { // at once: so over QUIC its end is in the same packet
		c.closeConn()
	}
	w.end()
	w.forget()
}

// send sends replies together, but for those in parts, which are long, and refusals, which have a status. A Hearer
// takes refusals with the other replies, since its TrySend has no context for a status.
func (w *sender) send(ctx context.Context, conn transport.Conn, batch []*answer) (err error) {
	_, fast := conn.(transport.Hearer)
	for len(batch) > 0 && err == nil {
		frames, status, rest := w.next(batch, !fast)
		switch {
		case status != 0:
			err = conn.Send(transport.WithStatus(ctx, status), frames...)
		case len(frames) > 0:
			err = conn.Send(ctx, frames...)
		default:
			err = transport.SendParts(ctx, conn, rest[0].frame, rest[0].body, rest[0].tail)
			rest = rest[1:]
		}
		batch = rest
	}
	return err
}

// trySend is send without waiting. It returns those that have not been given to the conn.
func (w *sender) trySend(conn transport.Hearer, batch []*answer) (rest []*answer, sent bool, err error) {
	for sent = true; len(batch) > 0 && sent && err == nil; {
		frames, _, rest := w.next(batch, false)
		if len(frames) > 0 {
			sent, err = conn.TrySend(frames...)
		} else {
			sent, err = conn.TrySendParts(rest[0].frame, rest[0].body, rest[0].tail)
			rest = rest[1:]
		}
		batch = rest
	}
	return batch, sent, err
}

// forget lets go of the frames.
func (w *sender) forget() {
	clear(w.frames)
	w.frames = w.frames[:0]
}

// cannotDeliver ends a conn that takes no replies.
func (w *sender) cannotDeliver(c *conversation, err error) {
	if c.m.log.Enabled(c.m.background, slog.LevelDebug) && c.m.refusals.Allow(c.conn.Peer().String()) {
		c.m.log.Debug("a reply could not be delivered", "peer", c.conn.Peer().String(), "error", err)
	}
	c.closeConn()
}

// watch notes that the sender reads the conn, and that another goroutine must do so from until on, unless ease is
// called before.
func (w *sender) watch(c *conversation, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.detachAt = c, until
	w.armLocked(until)
}

// ease ends what watch began.
func (w *sender) ease() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.detachAt = nil, time.Time{}
}

// begin notes that a step begins, which may take so long.
func (w *sender) begin(c *conversation, s step, timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn, w.step, w.stepEnd = c, s, time.Now().Add(timeout)
	w.armLocked(w.stepEnd)
}

// end ends the step.
func (w *sender) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stepEnd = time.Time{}
	if w.detachAt.IsZero() {
		w.conn = nil
	}
}

// patience is how long a peer may take to read so much.
func (c *conversation) patience(bytes int) time.Duration {
	return c.m.limits.Load().WriteTimeout * time.Duration(1+bytes/(32<<10))
}

// armLocked makes the timer fire at a moment, or before. The timer is left alone while it fires early enough, so that a
// step that does not stall, which is the rule, does not touch it. The caller holds w.mu.
func (w *sender) armLocked(at time.Time) {
	if !w.firesAt.IsZero() && !at.Before(w.firesAt) {
		return
	}
	w.firesAt = at
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(at), w.onTimer)
		return
	}
	w.timer.Reset(time.Until(at))
}

// stop is the end of a sender.
func (w *sender) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// onTimer has another goroutine read the conn of a sender that is kept from reading it, closes the conn of a peer
// that does not take what it is owed, and reports what else takes too long.
func (w *sender) onTimer() {
	now := time.Now()
	w.mu.Lock()
	w.firesAt = time.Time{}
	c, s := w.conn, w.step
	detach := !w.detachAt.IsZero() && !now.Before(w.detachAt)
	stalled := !w.stepEnd.IsZero() && !now.Before(w.stepEnd)
	if detach {
		w.detachAt = time.Time{}
	}
	if stalled {
		w.stepEnd = time.Time{} // once is enough
	}
	for _, next := range []time.Time{w.detachAt, w.stepEnd} {
		if !next.IsZero() {
			w.armLocked(next)
		}
	}
	w.mu.Unlock()
	switch {
	case c == nil:
	case stalled && s == writing:
		closeFor(c.conn, errNotRead) // before the log handler, which may stall
		if peer := c.conn.Peer().String(); c.m.refusals.Allow(peer) {
			go c.m.log.Warn("a peer does not read its replies; its conn is closed", "peer", peer)
		}
	case stalled:
		go c.m.logStall(s, c.conn.Peer()) // through the log handler, which may be what stalls
	}
	if c != nil && detach {
		c.relieve(w)
	}
}

// logStall reports that a step of the daemon's own holds up the replies of a peer.
func (m *CommandMgr) logStall(s step, peer transport.Peer) {
	m.log.Warn(s.String()+" takes long; replies wait for it", "longer-than", stallTimeout, "peer", peer.String())
}

// watchRecorder has a Recorder that takes long reported, for a call that came over no conn. stop is called when the
// Recorder has returned.
func (m *CommandMgr) watchRecorder(call *Call) (stop func()) {
	if m.opts.Recorder == nil {
		return func() {}
	}
	timer := time.AfterFunc(stallTimeout, func() { m.logStall(recording, call.Peer) })
	return func() { timer.Stop() }
}
