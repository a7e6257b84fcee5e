package mgr

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rudderpost/rudderpost/transport"
)

// talkers are the goroutines that serve conversations. A few of those whose conversations have ended
// wait for the next: where a conn is one request, as over HTTP, a fresh stack for each would cost more
// than the command.
type talkers struct {
	next     chan *conversation
	idle     atomic.Int32
	all      sync.WaitGroup
	speakers sync.Pool // one for each manager: their timers must not leave its time, where that is virtual

	mu    sync.Mutex
	watch *transport.Watch // where the quiet ones wait; nil: nowhere yet
}

// mostIdle is how many of them wait.
const mostIdle = 64

// serve has a conversation served. It never waits.
func (t *talkers) serve(c *conversation) {
	select {
	case t.next <- c:
	default:
		t.serveQuiet(c)
	}
}

// serveQuiet has a conversation served by a goroutine whose stack is small, since nobody has decoded a request on it.
func (t *talkers) serveQuiet(c *conversation) { t.all.Go(func() { t.work(c) }) }

// rest has a conversation wait whose peer is quiet: with all others of that kind, or else on a goroutine of its own.
func (t *talkers) rest(c *conversation) {
	if w := t.watchOf(c.m); w == nil || !w.Add(c.conn, c.wake) {
		t.serveQuiet(c)
		return
	}
	if c.listener.readCtx.Err() != nil { // since before Drain could find it parked
		t.unpark(c)
	}
}

// unpark has a parked conn served again, which its listener's drain has to close. It does nothing for a conn that is not
// parked. Drain ends the context before it calls unpark, and rest parks before it looks at the context: so one of them
// finds the conn.
func (t *talkers) unpark(c *conversation) {
	t.mu.Lock()
	w := t.watch
	t.mu.Unlock()
	if w != nil {
		w.Wake(c.conn)
	}
}

// watchOf returns where the quiet conns of a manager wait; nil: there is no such place, or not now, for want of a
// descriptor.
func (t *talkers) watchOf(m *CommandMgr) *transport.Watch {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watch == nil {
		watch, err := transport.NewWatch()
		if err != nil {
			return nil
		}
		t.watch = watch
		t.all.Go(func() { watch.Run(m.receiving) })
	}
	return t.watch
}

// work serves conversations, the first one and those that come, until the manager listens to nobody.
func (t *talkers) work(c *conversation) {
	for c != nil {
		if c.serve() {
			t.rest(c)
		}
		c = t.another(c.m)
	}
}

// another waits for a conversation, unless enough do.
func (t *talkers) another(m *CommandMgr) *conversation {
	defer t.idle.Add(-1)
	if t.idle.Add(1) > mostIdle {
		return nil
	}
	select {
	case c := <-t.next:
		return c
	case <-m.receiving.Done():
		return nil
	}
}

// A speaker is what a goroutine needs to serve a conversation that has something to say.
type speaker struct {
	sender
	heard   time.Time // when what it serves arrived
	batch   []*Call   // what it is about to hand to the loop
	owed    []*answer // what it has taken to send, and not sent
	tried   bool      // some of that has been given to the conn
	rest    []*answer // and this not
	scratch []byte    // where frames are received
}

// maxKeptFrame is the largest buffer for a frame that is kept for another.
const maxKeptFrame = 4 << 10

// keep keeps the buffer of a frame that is needed no longer than until the next is received.
func (own *speaker) keep(frame []byte) {
	if cap(frame) <= maxKeptFrame {
		own.scratch = frame[:0]
	}
}

// speaker returns what the conversation's goroutine has for itself.
func (c *conversation) speaker() *speaker {
	if c.own == nil {
		own, _ := c.m.talkers.speakers.Get().(*speaker)
		if own == nil {
			own = new(speaker)
		}
		c.own = own
	}
	return c.own
}

// giveBack keeps it for another conversation.
func (c *conversation) giveBack() {
	if c.own != nil {
		c.m.talkers.speakers.Put(c.own)
		c.own = nil
	}
}
