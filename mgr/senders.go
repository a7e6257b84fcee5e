package mgr

import (
	"runtime"
	"sync"
	"sync/atomic"
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
	w.timer = time.AfterFunc(time.Hour, w.stalled)
	defer w.timer.Stop()
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
	timer  *time.Timer
	to     atomic.Pointer[conversation]
	until  atomic.Int64
}

// deliver sends a batch of one conversation, and returns how many bytes that were. When it fails the
// conn's context ends, which ends the conversation.
func (w *sender) deliver(c *conversation, batch []*answer) (bytes int) {
	w.frames = w.frames[:0]
	for _, a := range batch {
		w.frames = append(w.frames, a.frame)
		bytes += len(a.frame)
	}
	patience := c.m.opts.WriteTimeout * time.Duration(1+bytes/(32<<10))
	w.until.Store(time.Now().Add(patience).UnixNano())
	w.to.Store(c)
	w.timer.Reset(patience)
	if err := c.conn.Send(c.m.background, w.frames...); err != nil {
		c.m.log.Debug("a reply could not be delivered", "peer", c.conn.Peer().String(), "error", err)
		_ = c.conn.Close()
	}
	w.timer.Stop()
	w.to.Store(nil)
	clear(w.frames)
	return bytes
}

// stalled closes the conn of a peer that does not take what it is owed.
func (w *sender) stalled() {
	c := w.to.Load()
	if c == nil || time.Now().UnixNano() < w.until.Load() {
		return
	}
	c.m.log.Warn("a peer does not read its replies; its conn is closed", "peer", c.conn.Peer().String())
	_ = c.conn.Close()
}
