package mgr

import (
	"runtime"
	"sync"
	"time"
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
		c.flush(&w)
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

	mu    sync.Mutex
	to    *conversation // whom it waits for; nil: nobody
	until time.Time     // and until when
	timer *time.Timer
	rings time.Time // when timer fires; zero: it does not
}

// deliver sends a batch of one conversation, and returns how many bytes that were. When it fails the
// conn's context ends, which ends the conversation.
func (w *sender) deliver(c *conversation, batch []*answer) (bytes int) {
	w.frames = w.frames[:0]
	for _, a := range batch {
		w.frames = append(w.frames, a.frame)
		bytes += len(a.frame)
	}
	w.waitFor(c, c.m.limits.Load().WriteTimeout*time.Duration(1+bytes/(32<<10)))
	if err := c.conn.Send(c.m.background, w.frames...); err != nil {
		c.m.log.Debug("a reply could not be delivered", "peer", c.conn.Peer().String(), "error", err)
		_ = c.conn.Close()
	}
	w.waitFor(nil, 0)
	clear(w.frames)
	return bytes
}

// waitFor notes whom the sender waits for. The timer is left alone while it rings early enough, so
// that a delivery that does not stall, which is the rule, does not touch it.
func (w *sender) waitFor(c *conversation, patience time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = c
	if c == nil {
		return
	}
	w.until = time.Now().Add(patience)
	if w.rings.IsZero() || w.until.Before(w.rings) {
		w.rings = w.until
		if w.timer == nil {
			w.timer = time.AfterFunc(patience, w.ring)
			return
		}
		w.timer.Reset(patience)
	}
}

// stop is the end of a sender.
func (w *sender) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// ring closes the conn of a peer that does not take what it is owed.
func (w *sender) ring() {
	w.mu.Lock()
	c := w.to
	if rest := time.Until(w.until); c != nil && rest > 0 {
		w.rings = w.until
		w.timer.Reset(rest)
		c = nil
	} else {
		w.rings = time.Time{}
	}
	w.mu.Unlock()
	if c != nil {
		c.m.log.Warn("a peer does not read its replies; its conn is closed", "peer", c.conn.Peer().String())
		_ = c.conn.Close()
	}
}
