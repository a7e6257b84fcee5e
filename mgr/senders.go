package mgr

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
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
	frames [][]byte
	ends   []End
	timed  bool // watch has timed its next delivery
	last   bool // what it delivers next is all that the conversation has to say
	lost   bool // another goroutine reads instead; the conversation's lock guards it while that is writing

	mu    sync.Mutex
	to    *conversation // whom it waits for; nil: nobody
	reads bool          // it ought to read from it meanwhile
	bytes atomic.Int64  // how many to is owed
	until time.Time     // when something is done about it
	timer *time.Timer
	rings time.Time // when timer fires; zero: it does not
}

// next returns the frames of the answers that can be sent together, and the answers behind those. There are none when
// the first is in parts, and rest begins with it.
func (w *sender) next(batch []*answer) (frames [][]byte, rest []*answer) {
	w.frames = w.frames[:0]
	for i, a := range batch {
		if a.body != nil {
			return w.frames, batch[i:]
		}
		w.frames = append(w.frames, a.frame)
	}
	return w.frames, nil
}

// deliver sends replies. When that fails the conn's context ends, which ends the conversation.
func (w *sender) deliver(c *conversation, batch []*answer) {
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
		bytes += a.size()
	}
	w.waitFor(c, bytes)
	if err := send(); err != nil {
		w.cannotDeliver(c, err)
	} else if w.last { // at once: so over QUIC its end is in the same packet
		_ = c.conn.Close()
	}
	w.waitFor(nil, 0)
	w.forget()
}

// send sends replies together, but for those in parts, which are long.
func (w *sender) send(ctx context.Context, conn transport.Conn, batch []*answer) (err error) {
	for len(batch) > 0 && err == nil {
		frames, rest := w.next(batch)
		if len(frames) > 0 {
			err = conn.Send(ctx, frames...)
		} else {
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
		frames, rest := w.next(batch)
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
	c.m.log.Debug("a reply could not be delivered", "peer", c.conn.Peer().String(), "error", err)
	_ = c.conn.Close()
}

// watch notes that the sender ought to read from a conversation, and is kept from it until ease.
func (w *sender) watch(c *conversation, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timed = true
	w.to, w.reads = c, true
	w.bytes.Store(0)
	w.ringBy(until)
}

// ease ends what watch began.
func (w *sender) ease() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timed = false
	w.to, w.reads = nil, false
}

// waitFor notes whom the sender delivers to, and how much; nil: to nobody any more. Each delivery has its own
// time, but for those of who ought to read: until it is relieved it has what watch gave it, and the first
// costs no lock.
func (w *sender) waitFor(c *conversation, bytes int) {
	w.bytes.Store(int64(bytes))
	if w.timed {
		w.timed = c != nil
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reads {
		return
	}
	w.to = c
	if c != nil {
		w.ringBy(time.Now().Add(c.patience(bytes)))
	}
}

// patience is how long a peer may take to read so much.
func (c *conversation) patience(bytes int) time.Duration {
	return c.m.limits.Load().WriteTimeout * time.Duration(1+bytes/(32<<10))
}

// ringBy sets the timer. It is left alone while it rings early enough, so that a delivery that does not
// stall, which is the rule, does not touch it. w.mu is held.
func (w *sender) ringBy(until time.Time) {
	w.until = until
	if !w.rings.IsZero() && !until.Before(w.rings) {
		return
	}
	w.rings = until
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(until), w.ring)
		return
	}
	w.timer.Reset(time.Until(until))
}

// stop is the end of a sender.
func (w *sender) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// ring relieves a sender that is kept from reading, and closes the conn of a peer that does not take
// what it is owed.
func (w *sender) ring() {
	w.mu.Lock()
	c, relieve := w.to, w.reads
	w.rings = time.Time{}
	switch {
	case c == nil:
	case time.Until(w.until) > 0:
		w.ringBy(w.until)
		c = nil
	case relieve:
		w.reads = false
		w.ringBy(time.Now().Add(c.patience(int(w.bytes.Load())) - readsOn)) // not of until, which may be long past
	}
	w.mu.Unlock()
	switch {
	case c == nil:
	case relieve:
		c.relieve(w)
	default:
		c.m.log.Warn("a peer does not read its replies; its conn is closed", "peer", c.conn.Peer().String())
		_ = c.conn.Close()
	}
}
